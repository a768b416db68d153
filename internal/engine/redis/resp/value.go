package resp

const maxDepth = 32

// Value is a reply, or an element of one. Text is a copy.
type Value struct {
	Type     byte
	Text     string  // of what has no elements
	Null     bool    // of either protocol
	Elements []Value // of a map: keys and values in turn
}

// IsError reports whether the value is an error.
func (v *Value) IsError() bool { return v.Type == Error || v.Type == BlobError }

// Find returns what a map, or an array that stands for one, has for a key.
func (v *Value) Find(key string) (*Value, bool) {
	for i := 0; i+1 < len(v.Elements); i += 2 {
		if v.Elements[i].Text == key {
			return &v.Elements[i+1], true
		}
	}
	return nil, false
}

// Decode reads the reply at the beginning of data, which must hold all of it; of one that is not complete it returns
// size 0. Messages of a subscription in its middle are left out, as Scanner does.
func Decode(data []byte) (v Value, size int, err error) { return decode(data, 0, false) }

func decode(data []byte, depth int, inPush bool) (v Value, size int, err error) {
	if depth > maxDepth {
		return v, 0, malformed("more than %d levels", maxDepth)
	}
	if len(data) == 0 {
		return v, 0, nil
	}
	text, size, err := line(data, maxReplyLine)
	if err != nil || size == 0 {
		return v, 0, err
	}
	v.Type = data[0]
	switch v.Type {
	case Simple, Error, Integer, Double, BigNumber, Boolean:
		v.Text = string(text)
		return v, size, nil
	case Null:
		v.Null = true
		return v, size, nil
	case Bulk, BlobError, Verbatim:
		return decodeString(v, data, text, size)
	case Array, Set, Push, Map:
		return decodeElements(v, data, text, size, depth, inPush || v.Type == Push)
	}
	return v, 0, malformed("a reply that begins with %q", v.Type)
}

func decodeString(v Value, data, text []byte, size int) (Value, int, error) {
	n, err := number(text)
	if err != nil || n < -1 || n < 0 && v.Type != Bulk || n > MaxCommand {
		return v, 0, malformed("a string of length %q", short(text))
	}
	if n < 0 {
		v.Null = true
		return v, size, nil
	}
	end := size + int(n) + 2
	if len(data) < end {
		return v, 0, nil
	}
	if data[end-2] != '\r' || data[end-1] != '\n' {
		return v, 0, malformed("a string without its end")
	}
	v.Text = string(data[size : end-2])
	return v, end, nil
}

func decodeElements(v Value, data, text []byte, size, depth int, inPush bool) (Value, int, error) {
	n, err := number(text)
	if err != nil || n < -1 || n < 0 && v.Type != Array || n > MaxArguments {
		return v, 0, malformed("elements: %q", short(text))
	}
	if n < 0 {
		v.Null = true
		return v, size, nil
	}
	if v.Type == Map {
		n *= 2
	}
	for int64(len(v.Elements)) < n {
		element, used, err := decode(data[size:], depth+1, inPush)
		if err != nil || used == 0 {
			return v, 0, err
		}
		if size += used; inPush || element.Type != Push {
			v.Elements = append(v.Elements, element)
		}
	}
	return v, size, nil
}
