// Package memo keeps what is made of the texts of policies, such as regular
// expressions: each look makes the same of the same ones.
package memo

import "sync"

// most bounds a Memo, which is emptied when it is full: what a configuration
// says is less.
const most = 1000

// Memo keeps what was made of a text. The zero Memo is empty; it may be used by
// many at once.
type Memo[V any] struct {
	mu   sync.Mutex
	kept map[string]V
}

// Of returns what from made of the text, now or earlier. Errors are not kept.
// What it returns is shared: it must not be changed.
func (m *Memo[V]) Of(text string, from func(string) (V, error)) (V, error) {
	m.mu.Lock()
	made, ok := m.kept[text]
	m.mu.Unlock()
	if ok {
		return made, nil
	}
	made, err := from(text)
	if err != nil {
		return made, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= most {
		m.kept = make(map[string]V)
	}
	m.kept[text] = made
	return made, nil
}
