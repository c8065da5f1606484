extension String {
    /// Without the full stop at its end: a message that another one quotes within a sentence.
    package var withoutFullStop: String { hasSuffix(".") ? String(dropLast()) : self }
}
