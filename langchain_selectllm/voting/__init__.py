"""From ballots to a tally: votes, the learned vote and its fitting, votes field by field."""
