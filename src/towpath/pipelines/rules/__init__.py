"""The rule book for definitions: each rule looks at the whole outline and yields what breaks it, and where."""
