package operate

import (
	"testing"

	"ftpvip/rules"
	"ftpvip/rules/kernel/fake"
	"ftpvip/rules/walk"
)

// fakeKernel is nf_tables in memory as an operator has it.
type fakeKernel struct{ fake.Kernel }

func (k *fakeKernel) Open() (Table, error) {
	c, err := k.Kernel.Open()
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (k *fakeKernel) Features() (Features, func() error, error) {
	c, err := k.Kernel.Open()
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

func (k *fakeKernel) HasFlowtables() (bool, error)    { return false, nil }
func (k *fakeKernel) Foreign() (*walk.Ruleset, error) { return &walk.Ruleset{}, nil }

// fail makes all changes of the table fail, or none.
func (k *fakeKernel) fail(all bool) {
	k.Refuse = nil
	if all {
		k.Refuse = func(*rules.Plan) error { return errFault }
	}
}

// meddle has another program change its own rules before so many transactions.
func (k *fakeKernel) meddle(transactions int) {
	k.Meanwhile = func() {
		if transactions > 0 {
			transactions--
			k.Touch()
		}
	}
}

// allClosed fails the test where a command leaves a connection open.
func (k *fakeKernel) allClosed(t *testing.T) {
	t.Helper()
	if n := k.Opened(); n > 0 {
		t.Errorf("%d connections to nf_tables are left open", n)
	}
}
