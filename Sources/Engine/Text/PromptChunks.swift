/// A prompt cut into chunks, each of as many tokens as a text encoder takes.
///
/// The word BREAK ends a chunk. Each text encoder splits the text with its own tokenizer; one that needs fewer
/// chunks than the other gets empty ones.
package struct PromptChunks: Equatable, Sendable {
    /// Tokens of the text, for the encoder that produces the most; start, end and padding are not counted.
    package let tokens: Int
    /// Tokens of text that a chunk has room for.
    package let room: Int
    /// For each encoder its chunks: ids of text, at most `room`.
    let chunks: [[[Int]]]

    /// Chunks of the prompt.
    package var count: Int { chunks[0].count }

    /// Maximum chunks of a prompt: every layer of a UNet caches its keys and values for them.
    package static let largestCount = 16

    /// - Parameters:
    ///   - text: the prompt
    ///   - tokenizers: of the model's text encoders
    ///   - flag: where the prompt came from
    /// - Throws: `InputError` for a prompt of more than `largestCount` chunks
    init(_ text: String, _ tokenizers: [CLIPTokenizer], flag: String) throws(InputError) {
        let room = tokenizers.map(\.room).min() ?? 0
        precondition(room > 0, "\(tokenizers.count) tokenizers with \(room) tokens")
        self.room = room
        var sections = tokenizers.map { tokenizer in
            Self.sections(of: text).map { tokenizer.tokens(of: $0) }
        }
        // A BREAK at the end begins nothing.
        let last = sections[0].count - 1
        if last > 0, sections.allSatisfy({ $0[last].isEmpty }) {
            for i in sections.indices { sections[i].removeLast() }
        }
        let sizes = sections[0].indices.map { i in
            sections.map { max(1, ($0[i].count + room - 1) / room) }.max() ?? 1
        }
        tokens = sections.map { $0.map(\.count).reduce(0, +) }.max() ?? 0
        guard sizes.reduce(0, +) <= Self.largestCount else {
            throw InputError(
                flag,
                "it has \(tokens) tokens in \(sizes.reduce(0, +)) chunks of \(room)",
                fix: "Use at most \(Self.largestCount) chunks"
            )
        }
        chunks = sections.map { sections in
            Swift.zip(sections, sizes).flatMap { ids, count in
                (0..<count).map { i in
                    Array(ids.dropFirst(i * room).prefix(room))
                }
            }
        }
    }

    /// The parts of a text between the words BREAK, in capitals and not part of another word.
    static func sections(of text: String) -> [String] {
        let scalars = Array(text.unicodeScalars)
        let word = Array("BREAK".unicodeScalars)
        func isWordLike(_ at: Int) -> Bool {
            guard scalars.indices.contains(at) else { return false }
            switch scalars[at].properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter,
                .otherLetter, .decimalNumber, .letterNumber, .otherNumber:
                return true
            default: return scalars[at] == "_"
            }
        }
        var sections: [String.UnicodeScalarView] = [.init()]
        var at = 0
        while at < scalars.count {
            if scalars[at...].starts(with: word), !isWordLike(at - 1), !isWordLike(at + word.count)
            {
                sections.append(.init())
                at += word.count
            } else {
                sections[sections.count - 1].append(scalars[at])
                at += 1
            }
        }
        return sections.map { String($0) }
    }
}

/// Positive and negative prompt, padded to the same number of chunks.
package struct PromptPair: Sendable {
    package let positive: PromptChunks
    /// Nil if guidance does not use it; the empty prompt's if none is given.
    package let negative: PromptChunks?
    /// Of the model's text encoders, in their order.
    let tokenizers: [CLIPTokenizer]

    /// Chunks of either prompt: the shorter one is padded with empty ones.
    package var count: Int { max(positive.count, negative?.count ?? 0) }

    /// Reads the tokenizers of a model and splits the prompts into chunks.
    ///
    /// - Parameters:
    ///   - positive: what the picture shows
    ///   - negative: what guidance steers away from
    ///   - guides: whether there is guidance
    ///   - model: whose tokenizers they are
    /// - Throws: `InputError` for a prompt that is too long, and from the tokenizers' files
    package init(
        positive: String,
        negative: String?,
        guides: Bool,
        model: Model
    ) throws {
        tokenizers = try model.tokenizers()
        self.positive = try PromptChunks(positive, tokenizers, flag: "--prompt")
        self.negative =
            guides
            ? try PromptChunks(negative ?? "", tokenizers, flag: "--negative-prompt") : nil
    }

    /// One line: tokens and chunks.
    package var summary: String {
        func size(_ prompt: PromptChunks) -> String {
            let tokens = prompt.tokens == 1 ? "1 token" : "\(prompt.tokens) tokens"
            return tokens + (prompt.count == 1 ? "" : " in \(prompt.count) chunks")
        }
        let sides = [size(positive)] + (negative.map { ["negative prompt \(size($0))"] } ?? [])
        let each = count == 1 ? "1 chunk" : "\(count) chunks"
        return sides.joined(separator: ", ") + " (\(each) of \(positive.room))"
    }
}

extension Model {
    /// The tokenizers of all text encoders, in their order.
    ///
    /// - Throws: `InputError` when their files are missing, contradict each other or split prompts differently
    func tokenizers() throws -> [CLIPTokenizer] {
        let encoders: [Component] =
            family == .sdxl ? [.textEncoder, .textEncoder2] : [.textEncoder]
        let tokenizers = try encoders.map { try tokenizer($0) }
        guard Set(tokenizers.map(\.length)).count == 1 else {
            throw InputError(
                path,
                "its tokenizers have prompts of \(tokenizers.map { "\($0.length)" }.joined(separator: " and ")) tokens",
                fix: "Give both the same model_max_length"
            )
        }
        return tokenizers
    }
}
