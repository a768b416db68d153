package audit

// IAMPolicyChange says that an agent is about to change the inline policy by which it reaches databases in AWS. It is stored
// before the agent may go on; whether AWS took the change is in the agent's log, and in AWS CloudTrail.
type IAMPolicyChange struct {
	ServerMeta        // the agent
	Identity   string // ARN of the user or role whose policy it is, without its path
	Policy     string // its name; empty if the agent did not say
	// What is put into the policy and what is taken out: an action, a space and an ARN.
	Added, Removed []string
}

// Type implements Event.
func (*IAMPolicyChange) Type() string { return "aws.iam_policy.update" }

// Code implements Event.
func (*IAMPolicyChange) Code() string { return "SAW00I" }

func (v *IAMPolicyChange) appendFields(e *encoder) {
	v.ServerMeta.appendTo(e)
	e.text("aws_identity", v.Identity)
	e.text("aws_policy", v.Policy)
	e.texts("added", v.Added)
	e.texts("removed", v.Removed)
}
