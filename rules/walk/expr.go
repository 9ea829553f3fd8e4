package walk

// Expr is one expression of a rule: Load, Cmp, Range, Bitwise, Byteorder, Immediate, Lookup, Verdict, XTMatch,
// XTTarget, NAT, SetHelper, NoTrack, Nothing or Unknown. Registers are byte offsets into the 64 bytes that the kernel
// has for them.
type Expr interface{ expr() }

type (
	// Load puts a property of the packet into a register.
	Load struct {
		Reg  int
		From Field
	}
	// Cmp compares a register with data.
	Cmp struct {
		Reg  int
		Op   CmpOp
		Data []byte
	}
	// Range asks whether a register lies between two values, both included.
	Range struct {
		Reg      int
		From, To []byte
		Not      bool
	}
	// Bitwise is Dst = Src & Mask ^ Xor.
	Bitwise struct {
		Src, Dst  int
		Mask, Xor []byte
	}
	// Byteorder turns values of Size bytes round, where the host is little endian.
	Byteorder struct {
		Src, Dst, Len, Size int
	}
	// Immediate puts data into a register.
	Immediate struct {
		Reg  int
		Data []byte
	}
	// Lookup looks a register up in a set, or in a map whose data goes to Dst or is a verdict.
	Lookup struct {
		Reg     int
		Set     string
		Not     bool
		HasDst  bool // a map
		Dst     int
		Verdict bool // its data are verdicts
	}
	// XTMatch is a match of iptables.
	XTMatch struct {
		Name string
		Rev  uint32
		Info []byte
	}
	// XTTarget is a target of iptables.
	XTTarget struct {
		Name string
		Rev  uint32
		Info []byte
	}
	// NAT changes addresses; it ends the walk.
	NAT struct {
		Source bool // snat and masquerade
	}
	// SetHelper attaches the ct helper object of that name.
	SetHelper struct{ Object string }
	// NoTrack tells conntrack to look away.
	NoTrack struct{}
	// Nothing has no bearing on the packet's fate: counters, logs.
	Nothing struct{}
	// Unknown is an expression that may match or not. Where it writes a register, Reg is its offset, else -1.
	Unknown struct {
		Name string
		Reg  int
	}
)

func (Load) expr()      {}
func (Cmp) expr()       {}
func (Range) expr()     {}
func (Bitwise) expr()   {}
func (Byteorder) expr() {}
func (Immediate) expr() {}
func (Lookup) expr()    {}
func (XTMatch) expr()   {}
func (XTTarget) expr()  {}
func (NAT) expr()       {}
func (SetHelper) expr() {}
func (NoTrack) expr()   {}
func (Nothing) expr()   {}
func (Unknown) expr()   {}
func (Verdict) expr()   {}

// CmpOp is an operator, with the kernel's numbers (enum nft_cmp_ops).
type CmpOp uint8

// The operators.
const (
	Equal CmpOp = iota
	NotEqual
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
)

// Verdict ends a rule.
type Verdict struct {
	Kind  VerdictKind
	Chain string // of Jump and Goto
}

// VerdictKind is the kind of a verdict.
type VerdictKind uint8

// The kinds.
const (
	Continue VerdictKind = iota
	Accept
	Drop
	Return
	Jump
	Goto
	Queue
)

// Field is what a Load loads.
type Field struct {
	Kind   FieldKind
	Key    uint32 // meta and ct: the kernel's number; payload: the offset; fib: the flags
	Len    int    // payload
	Result uint32 // fib
	Reply  bool   // ct: of the reply direction
	HasDir bool   // ct: a direction was given
	Name   string // how a reader would call it, for an explanation
}

// FieldKind is where a field comes from.
type FieldKind uint8

// The kinds.
const (
	Meta FieldKind = iota + 1
	CT
	Network   // payload, from the network header on
	Transport // payload, from the transport header on
	FIB
	Elsewhere // anything that is not modelled
)

// Set is a named or anonymous set or map.
type Set struct {
	Elements []Element
	Fields   []int  // lengths of the key's components, each padded to 4
	Opaque   string // why its elements are not known, or ""
}

// Element is one element: a key, or a range of keys where End is set; both ends belong to it.
type Element struct {
	Key, End []byte
	Data     []byte
	Verdict  Verdict
	CatchAll bool
}
