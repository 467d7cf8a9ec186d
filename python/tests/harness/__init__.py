"""What the tests share: a bad network, a sound card, peers that misbehave, and ears."""
