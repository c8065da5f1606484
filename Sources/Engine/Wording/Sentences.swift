extension String {
    /// Without its final full stop: a message quoted within another sentence.
    package var withoutFullStop: String { hasSuffix(".") ? String(dropLast()) : self }
}
