extension String {
    /// The text without its final full stop, for quoting a message within another sentence.
    package var withoutFullStop: String { hasSuffix(".") ? String(dropLast()) : self }
}
