package configs

import "testing"

// TestWithoutOffload: the copy's references stay within the copy, and the original is untouched.
func TestWithoutOffload(t *testing.T) {
	cfg, err := Parse("f.yaml", Reference(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.VIPs[0].Offload = true
	plain := cfg.WithoutOffload()
	if !cfg.Offloads() || plain.Offloads() {
		t.Errorf("offload: %v, copy %v", cfg.Offloads(), plain.Offloads())
	}
	cfg.VIPs[0].Offload = false
	if diff := diffConfig(cfg, plain); diff != "" {
		t.Errorf("-original +copy:\n%s", diff)
	}
	for i := range plain.VIPs {
		v := &plain.VIPs[i]
		if v.Pool != plain.Pool(v.Pool.Name) {
			t.Errorf("VIP %s uses a pool of the original", v.Name)
		}
	}
	for _, p := range plain.Pools {
		for _, v := range p.VIPs {
			if v != plain.vip(v.Name) {
				t.Errorf("pool %s is used by a VIP of the original", p.Name)
			}
		}
		if f := p.Fallback; f != nil && f != plain.Pool(f.Name) {
			t.Errorf("pool %s falls back to one of the original", p.Name)
		}
		if v := p.SourceGroup; v != nil && v != plain.vip(v.Name) {
			t.Errorf("pool %s has its source group from the original", p.Name)
		}
	}
}
