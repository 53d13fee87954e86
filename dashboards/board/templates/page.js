(() => {
"use strict";
// The page says everything without this: it adds local times, copying, and a
// renewal that keeps what the reader opened.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const local = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "medium"});
let touched = false, timer = 0;

function enhance(root) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const d = new Date(t.dateTime);
    if (!isNaN(d)) t.title = (t.title ? t.title + " = " : "") + local.format(d) + " " + zone;
  }
  for (const b of root.querySelectorAll("button[data-copy]")) {
    b.hidden = false;
    b.addEventListener("click", () => copy(b));
  }
}

async function copy(button) {
  const from = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(from.textContent);
  } catch { // only secure addresses have a clipboard
    const range = document.createRange(), chosen = getSelection();
    range.selectNodeContents(from);
    chosen.removeAllRanges();
    chosen.addRange(range);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

// place says where an element is, so that it is found again on the new page.
function place(e) {
  if (!e || !e.closest("main")) return "";
  if (e.id) return "#" + CSS.escape(e.id);
  const d = e.closest("details[id]");
  if (d && e.matches("summary")) return "#" + CSS.escape(d.id) + ">summary";
  return e.matches("a[href]") ? 'main a[href="' + CSS.escape(e.getAttribute("href")) + '"]' : "";
}

function soon() {
  const seconds = Number(document.querySelector("main").dataset.live);
  clearTimeout(timer);
  if (seconds > 0) timer = setTimeout(renew, seconds * 1000);
}

async function renew() {
  const main = document.querySelector("main"), focused = document.activeElement;
  if (touched || document.hidden || focused && focused.closest("form") || !getSelection().isCollapsed) return soon();
  try {
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}, cache: "no-store"});
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = document.adoptNode(page.querySelector("main"));
    for (const d of main.querySelectorAll("details[id]")) {
      const same = fresh.querySelector("#" + CSS.escape(d.id));
      if (same) same.open = d.open;
    }
    const where = place(focused);
    main.replaceWith(fresh);
    document.title = page.title;
    enhance(fresh);
    const again = where && document.querySelector(where);
    if (again) again.focus({preventScroll: true});
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  }
  soon();
}

const stale = document.getElementById("stale");
document.addEventListener("input", () => { touched = true; });
document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
enhance(document);
soon();
})();
