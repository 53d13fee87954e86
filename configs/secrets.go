package configs

import "reflect"

// Secrets returns the value of every secret of the configuration, each once.
func (c *Config) Secrets() []string {
	seen := map[string]bool{}
	collect(reflect.ValueOf(c).Elem(), seen)
	out := make([]string, 0, len(seen))
	for value := range seen {
		out = append(out, value)
	}
	return out
}

// collect walks exported fields.
func collect(v reflect.Value, seen map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			collect(v.Elem(), seen)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			collect(v.Index(i), seen)
		}
	case reflect.Struct:
		if s, ok := v.Interface().(Secret); ok {
			if s.IsSet() {
				seen[s.Reveal()] = true
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				collect(v.Field(i), seen)
			}
		}
	default: // no other kind holds a secret
	}
}
