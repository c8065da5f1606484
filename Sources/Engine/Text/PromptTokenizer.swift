/// One token of a prompt.
struct PromptToken: Hashable, Sendable {
    /// A row of the text encoder's embedding table, or past its end a vector of a textual inversion.
    var id: Int
    /// Factor by which its embedding is multiplied.
    var weight: Float = 1
    /// Whether it may not be separated from the token before it.
    var isJoined = false
}

/// A tokenizer that also knows the words of textual inversions.
struct PromptTokenizer: Sendable {
    let base: CLIPTokenizer
    /// Words in lower case, longest first, and the ids of their vectors.
    private let words: [(word: [Unicode.Scalar], ids: Range<Int>)]
    /// Embeddings of the ids past the end of the table, `[vectors, width]`; nil without textual inversions.
    let vectors: Tensor?
    /// The id of a comma, after which chunks may be split.
    let comma: Int?

    /// - Parameters:
    ///   - base: the model's tokenizer
    ///   - table: number of rows in the text encoder's embedding table
    ///   - words: words of textual inversions, with their vectors `[count, width]`
    init(_ base: CLIPTokenizer, table: Int, words: [(word: String, vectors: Tensor)] = []) {
        self.base = base
        var next = table
        self.words = words.map { word, vectors in
            defer { next += vectors.shape[0] }
            return (Self.folded(word), next..<next + vectors.shape[0])
        }.sorted { $0.word.count > $1.word.count }
        vectors = words.first.map { first in
            Tensor(
                words.flatMap { $0.vectors.values },
                shape: [next - table, first.vectors.shape[1]]
            )
        }
        let ids = base.tokens(of: ",")
        comma = ids.count == 1 ? ids[0] : nil
    }

    var room: Int { base.room }

    private static func folded(_ text: String) -> [Unicode.Scalar] {
        text.unicodeScalars.map(folded)
    }

    /// Lower case, if that is one scalar.
    private static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        let lower = scalar.properties.lowercaseMapping.unicodeScalars
        return lower.count == 1 ? lower.first ?? scalar : scalar
    }

    private static func isWordLike(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }

    /// ComfyUI's prefix for the word of a textual inversion.
    private static let prefix = Array("embedding:".unicodeScalars)

    /// The tokens of a text. Words of textual inversions are matched regardless of case, longest first, and only
    /// where no letter or digit is adjacent to them.
    ///
    /// - Parameters:
    ///   - text: the text
    ///   - weight: the weight of its tokens
    /// - Returns: the tokens, and the words that were found
    func tokens(of text: String, weight: Float = 1) -> (tokens: [PromptToken], words: Set<String>) {
        func plain(_ scalars: ArraySlice<Unicode.Scalar>) -> [PromptToken] {
            var view = String.UnicodeScalarView()
            view.append(contentsOf: scalars)
            return base.tokens(of: String(view)).map { PromptToken(id: $0, weight: weight) }
        }
        let scalars = Array(text.unicodeScalars)
        guard !words.isEmpty else { return (plain(scalars[...]), []) }
        let folded = scalars.map(Self.folded)
        var (tokens, found): ([PromptToken], Set<String>) = ([], [])
        var (start, at) = (0, 0)
        while at < folded.count {
            let match = words.first { word, _ in
                let end = at + word.count
                guard folded[at...].starts(with: word) else { return false }
                let before = at > 0 && Self.isWordLike(folded[at - 1]) && Self.isWordLike(word[0])
                let after =
                    end < folded.count && Self.isWordLike(folded[end])
                    && Self.isWordLike(word[word.count - 1])
                return !before && !after
            }
            guard let match else {
                at += 1
                continue
            }
            let hasPrefix = folded[start..<at].suffix(Self.prefix.count).elementsEqual(Self.prefix)
            tokens += plain(scalars[start..<(hasPrefix ? at - Self.prefix.count : at)])
            for (i, id) in match.ids.enumerated() {
                tokens.append(PromptToken(id: id, weight: weight, isJoined: i > 0))
            }
            var view = String.UnicodeScalarView()
            view.append(contentsOf: match.word)
            found.insert(String(view))
            at += match.word.count
            start = at
        }
        return (tokens + plain(scalars[start...]), found)
    }
}

extension Model {
    /// The textual inversions that prompts may use: the given ones and those inside adapters.
    ///
    /// - Throws: `InputError` if a file is not a textual inversion, or two have the same word
    package func inversions() throws(InputError) -> [TextualInversion] {
        var found: [TextualInversion] = []
        for source in options.embeddings { found.append(try TextualInversion(source)) }
        for adapter in adapters { found += try TextualInversion.bundled(in: adapter.file) }
        var seen: [String: String] = [:]
        for inversion in found {
            if let other = seen.updateValue(inversion.path, forKey: inversion.word.lowercased()) {
                throw InputError(
                    inversion.path,
                    "its word '\(inversion.word)' also stands for \(other)",
                    fix: "Give it another with --embedding FILE:word"
                )
            }
        }
        return found
    }

    /// The tokenizers of all text encoders, in order, with the words of textual inversions.
    ///
    /// - Throws: `InputError` if files are missing or contradict each other, or a textual inversion was made for
    ///   another model
    func promptTokenizers() throws -> [PromptTokenizer] {
        let bases = try tokenizers()
        let inversions = try inversions()
        return try zip(family.textEncoders, bases).map { component, base in
            // Without textual inversions, the encoder's configuration is not needed yet.
            guard !inversions.isEmpty else { return PromptTokenizer(base, table: base.count) }
            let config = try textConfig(component)
            let words = try inversions.map { inversion in
                let vectors = try inversion.vectors(
                    for: component,
                    of: family,
                    width: config.width,
                    room: base.room
                )
                return (inversion.word, vectors)
            }
            return PromptTokenizer(base, table: config.vocabulary, words: words)
        }
    }
}
