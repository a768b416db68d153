package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

func jsonAnswer(result Fields) []byte {
	var b bytes.Buffer
	writeJSON(&b, result)
	return b.Bytes()
}

func jsonError(e *Error) []byte {
	fields := Fields{{"__type", jsonCode(e)}, {"message", e.Message}}
	return jsonAnswer(append(fields, e.Extra...))
}

func jsonCode(e *Error) string {
	if e.JSONCode != "" {
		return e.JSONCode
	}
	return e.Code
}

func writeJSON(b *bytes.Buffer, value any) {
	switch v := value.(type) {
	case Fields:
		b.WriteByte('{')
		comma := false
		for _, f := range v {
			if f.Value == nil {
				continue
			}
			if comma {
				b.WriteByte(',')
			}
			comma = true
			writeJSON(b, f.Name)
			b.WriteByte(':')
			writeJSON(b, f.Value)
		}
		b.WriteByte('}')
	case List:
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	case Map:
		encode(b, map[string]string(v))
	case time.Time: // seconds since 1970, with milliseconds
		encode(b, math.Round(float64(v.UnixMilli()))/1000)
	case string, bool, int, int64, float64, []byte:
		encode(b, v)
	default:
		panic(fmt.Sprintf("wire: a value of type %T cannot be encoded", value))
	}
}

func encode(b *bytes.Buffer, value any) {
	text, err := json.Marshal(value)
	if err != nil { // NaN or infinity
		panic(fmt.Sprintf("wire: %v", err))
	}
	b.Write(text)
}
