package powerloss

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// sector is what a disk writes as one.
const sector = 512

// Disk is what a folder's files went through in one run of a process.
type Disk struct {
	dir   string
	base  map[string][]byte // by path, all of it on the disk already
	calls []Call
}

// NewDisk takes the files that were there before the run, by their paths, and
// the run's calls.
func NewDisk(dir string, base map[string][]byte, calls []Call) *Disk {
	return &Disk{dir: filepath.Clean(dir), base: base, calls: calls}
}

// Left returns the files that are left, by path, when the power fails at a
// moment. chance decides about each sector that was not synced; with nil, none
// of them is left.
func (d *Disk) Left(moment int, chance *rand.Rand) map[string][]byte {
	out := maps.Clone(d.base)
	if out == nil {
		out = map[string][]byte{}
	}
	for path := range d.paths(moment) {
		content, there := d.file(path, moment, chance)
		if !there {
			delete(out, path)
			continue
		}
		out[path] = content
	}
	return out
}

func (d *Disk) paths(moment int) map[string]bool {
	out := map[string]bool{}
	for _, c := range d.calls {
		if c.Begun <= moment && filepath.Dir(c.Path) == d.dir {
			out[c.Path] = true
		}
	}
	return out
}

// file replays what happened to a file.
func (d *Disk) file(path string, moment int, chance *rand.Rand) (content []byte, there bool) {
	content, there = slices.Clone(d.base[path]), d.base[path] != nil
	sync := d.lastSync(path, moment)
	for _, c := range d.of(path, moment) {
		sure := c.Ended != 0 && c.Ended < sync
		if sure && c.Name != "unlink" {
			there = true
		}
		switch {
		case c.Name == "unlink":
			// SQLite removes a file once it needs it no longer: either is well.
			if chance != nil && chance.IntN(2) == 0 {
				content, there = nil, false
			}
		case c.Name == "ftruncate" && (sure || chance != nil && chance.IntN(2) == 0):
			content = resized(content, c.Offset)
		case c.Name == "pwrite64" && sure:
			content = put(content, c.Data, c.Offset)
		case c.Name == "pwrite64" && chance != nil:
			content = torn(content, c, chance)
		}
	}
	return content, there
}

// of are a file's changes until a moment, in their order.
func (d *Disk) of(path string, moment int) (out []Call) {
	for _, c := range d.calls {
		if c.Path == path && c.Begun <= moment && (c.Name == "pwrite64" || c.Name == "ftruncate" || c.Name == "unlink") {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Call) int { return a.Begun - b.Begun })
	return out
}

// lastSync is the beginning of the last sync of a file that had returned by a
// moment: what had been written before that is on the disk.
func (d *Disk) lastSync(path string, moment int) (begun int) {
	for _, c := range d.calls {
		if c.Path == path && (c.Name == "fsync" || c.Name == "fdatasync") && c.Ended != 0 && c.Ended <= moment {
			begun = max(begun, c.Begun)
		}
	}
	return begun
}

func put(content, data []byte, offset int64) []byte {
	if end := offset + int64(len(data)); int64(len(content)) < end {
		content = resized(content, end)
	}
	copy(content[offset:], data)
	return content
}

func resized(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

// torn writes the sectors that chance has.
func torn(content []byte, c Call, chance *rand.Rand) []byte {
	switch chance.IntN(3) {
	case 0:
		return content
	case 1:
		return put(content, c.Data, c.Offset)
	}
	for from := int64(0); from < int64(len(c.Data)); {
		until := min((c.Offset+from)/sector*sector+sector-c.Offset, int64(len(c.Data)))
		if chance.IntN(2) == 0 {
			content = put(content, c.Data[from:until], c.Offset+from)
		}
		from = until
	}
	return content
}
