package main

import (
	"errors"

	"ftpvip/configs"
	"ftpvip/rules/bind"
)

// binding says which addresses have to come and go for a configuration; nil is that of no VIPs. The error is one of
// the plan's, or of reading.
func binding(cfg *configs.Config) (bind.Plan, error) {
	have, err := bind.Read()
	if err != nil {
		return bind.Plan{}, err
	}
	return bind.Diff(have, bind.Wanted(cfg))
}

// bindingText is what an apply would change, also where it would fail: for verbs that only look.
func bindingText(cfg *configs.Config) (string, error) {
	p, err := binding(cfg)
	if errors.Is(err, bind.ErrTaken) {
		return "! " + err.Error() + "\n", nil
	}
	return p.Text(), err
}
