"""The synthesized template: what would hurt if it said otherwise, cfn-lint, and identical syntheses."""
