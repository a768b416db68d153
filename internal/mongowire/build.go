package mongowire

import "encoding/binary"

// Builder makes a document, element by element. The zero value is ready.
type Builder struct{ b []byte }

func (d *Builder) key(t Type, key string) {
	if d.b == nil {
		d.b = make([]byte, 4, 256)
	}
	d.b = append(append(append(d.b, byte(t)), key...), 0)
}

// Int32 adds a number.
func (d *Builder) Int32(key string, value int32) *Builder {
	d.key(Int32, key)
	d.b = binary.LittleEndian.AppendUint32(d.b, uint32(value))
	return d
}

// Text adds a text.
func (d *Builder) Text(key, value string) *Builder {
	d.key(String, key)
	d.b = binary.LittleEndian.AppendUint32(d.b, uint32(len(value)+1))
	d.b = append(append(d.b, value...), 0)
	return d
}

// Binary adds bytes.
func (d *Builder) Binary(key string, value []byte) *Builder {
	d.key(Binary, key)
	d.b = binary.LittleEndian.AppendUint32(d.b, uint32(len(value)))
	d.b = append(append(d.b, 0), value...)
	return d
}

// Bool adds a truth value.
func (d *Builder) Bool(key string, value bool) *Builder {
	d.key(Boolean, key)
	d.b = append(d.b, 0)
	if value {
		d.b[len(d.b)-1] = 1
	}
	return d
}

// Array adds an array, whose values are those of a document.
func (d *Builder) Array(key string, value Document) *Builder {
	d.key(Array, key)
	d.b = append(d.b, value...)
	return d
}

// Element adds an element of another document.
func (d *Builder) Element(e Element) *Builder {
	d.key(e.Type, string(e.Key))
	d.b = append(d.b, e.Data...)
	return d
}

// Build returns the document. The builder is not to be used any more.
func (d *Builder) Build() Document {
	if d.b == nil {
		d.b = make([]byte, 4)
	}
	b := append(d.b, 0)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}
