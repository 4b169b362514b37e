"""What runs inside a patch: point rules, their analysis and their lowering."""
