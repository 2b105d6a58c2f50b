"""From P(correct) to the members that are called: policies, operating points and their fitting."""
