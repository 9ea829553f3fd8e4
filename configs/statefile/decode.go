package statefile

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrVersion says that a file is of another version.
var ErrVersion = errors.New("state file of another version")

// Unmarshal decodes the JSON of a state file into T, where its field version is the one given. The version is looked at
// first: what another one holds may not even decode.
func Unmarshal[T any](b []byte, version int) (T, error) {
	var head struct {
		Version int `json:"version"`
	}
	var none, in T
	if err := json.Unmarshal(b, &head); err != nil {
		return none, err
	}
	if head.Version != version {
		return none, fmt.Errorf("%w: %d, this program knows %d", ErrVersion, head.Version, version)
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return none, err
	}
	return in, nil
}
