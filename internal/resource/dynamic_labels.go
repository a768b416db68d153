package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// DynamicLabels are labels whose values are the output of commands run by the agent.
type DynamicLabels map[string]DynamicLabel

// DynamicLabel is a command and its last output.
type DynamicLabel struct {
	Period  Duration `json:"period"`
	Command Strings  `json:"command"`
	Result  string   `json:"result,omitempty"`
}

// UnmarshalJSON accepts a map and a list whose entries have a name.
func (l *DynamicLabels) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		var byName map[string]DynamicLabel
		if err := decodeStrictly(data, &byName); err != nil {
			return err
		}
		*l = byName
		return nil
	}
	var list []struct {
		Name string `json:"name"`
		DynamicLabel
	}
	if err := decodeStrictly(data, &list); err != nil {
		return err
	}
	*l = make(DynamicLabels, len(list))
	for i, entry := range list {
		if _, taken := (*l)[entry.Name]; taken || entry.Name == "" {
			return fmt.Errorf("entry %d needs a name of its own", i+1)
		}
		(*l)[entry.Name] = entry.DynamicLabel
	}
	return nil
}

func decodeStrictly(data []byte, labels any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(labels)
	if err == nil {
		return nil
	}
	if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("has an unknown key %s", key)
	}
	return errors.New("must map each name to a period such as 1m, and a command as a list of strings")
}
