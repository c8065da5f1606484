/// A prompt split into chunks, each with at most as many tokens as a text encoder accepts.
///
/// The word BREAK ends a chunk. Each text encoder splits the text with its own tokenizer; one that needs fewer
/// chunks than the other gets empty ones.
package struct PromptChunks: Equatable, Sendable {
    /// Number of text tokens, for the encoder with the most; start, end and padding are not counted.
    package let tokens: Int
    /// Maximum number of text tokens in a chunk.
    package let room: Int
    /// The chunks for each encoder, each of at most `room` tokens.
    let chunks: [[[PromptToken]]]
    /// Words of textual inversions in the prompt, in lower case.
    let words: Set<String>

    /// Number of chunks in the prompt.
    package var count: Int { chunks[0].count }

    /// Maximum number of chunks in a prompt: every layer of a UNet caches its keys and values for them.
    package static let largestCount = 16

    /// Number of tokens at the end of a full chunk among which A1111 looks for a comma to split at.
    private static let backtrack = 20

    /// - Parameters:
    ///   - texts: the prompt's fragments for each encoder
    ///   - tokenizers: the tokenizers of the model's text encoders
    ///   - cutsAtCommas: whether a full chunk ends after a comma near its end, as in A1111
    ///   - flag: the flag that the prompt came from, for errors
    /// - Throws: `InputError` for a prompt of more than `largestCount` chunks
    init(
        _ texts: [[PromptFragment]],
        _ tokenizers: [PromptTokenizer],
        cutsAtCommas: Bool = false,
        flag: String
    ) throws(InputError) {
        let room = tokenizers.map(\.room).min() ?? 0
        precondition(room > 0, "\(tokenizers.count) tokenizers with \(room) tokens")
        self.room = room
        var words: Set<String> = []
        var sections = Swift.zip(texts, tokenizers).map { fragments, tokenizer in
            var sections: [[PromptToken]] = [[]]
            for fragment in fragments {
                switch fragment {
                case .end: sections.append([])
                case .text(let text, let weight):
                    let found = tokenizer.tokens(of: text, weight: weight)
                    sections[sections.count - 1] += found.tokens
                    words.formUnion(found.words)
                }
            }
            return sections
        }
        self.words = words
        let most = sections.map(\.count).max() ?? 1
        for i in sections.indices {
            while sections[i].count < most { sections[i].append([]) }
        }
        // A BREAK at the end does not start a chunk.
        let last = most - 1
        if last > 0, sections.allSatisfy({ $0[last].isEmpty }) {
            for i in sections.indices { sections[i].removeLast() }
        }
        tokens = sections.map { $0.map(\.count).reduce(0, +) }.max() ?? 0
        let cut = Swift.zip(sections, tokenizers).map { sections, tokenizer in
            sections.map { Self.cut($0, room, comma: cutsAtCommas ? tokenizer.comma : nil) }
        }
        let sizes = cut[0].indices.map { i in cut.map { $0[i].count }.max() ?? 1 }
        guard sizes.reduce(0, +) <= Self.largestCount else {
            throw InputError(
                flag,
                "it has \(tokens) tokens in \(sizes.reduce(0, +)) chunks of \(room)",
                fix: "Use at most \(Self.largestCount) chunks"
            )
        }
        chunks = cut.map { sections in
            Swift.zip(sections, sizes).flatMap { chunks, count in
                chunks + Array(repeating: [], count: count - chunks.count)
            }
        }
    }

    /// Splits tokens into one or more chunks of at most `room`; the vectors of a textual inversion stay together.
    private static func cut(_ tokens: [PromptToken], _ room: Int, comma: Int?) -> [[PromptToken]] {
        var (chunks, chunk): ([[PromptToken]], [PromptToken]) = ([], [])
        // Number of tokens in the chunk up to and including its last comma.
        var (commaEnd, at): (Int?, Int) = (nil, 0)
        func finish() {
            chunks.append(chunk)
            (chunk, commaEnd) = ([], nil)
        }
        while at < tokens.count {
            var end = at + 1
            while end < tokens.count, tokens[end].isJoined { end += 1 }
            if chunk.count + end - at > room {
                let isComma = tokens[at].id == comma
                // A comma that no longer fits itself goes to the next chunk.
                if !isComma, chunk.count == room, let cut = commaEnd, cut > 0,
                    room - cut < backtrack
                {
                    let moved = Array(chunk[cut...])
                    chunk.removeLast(moved.count)
                    finish()
                    chunk = moved
                } else {
                    finish()
                }
            }
            chunk += tokens[at..<end]
            if tokens[at].id == comma { commaEnd = chunk.count }
            at = end
        }
        if !chunk.isEmpty || chunks.isEmpty { chunks.append(chunk) }
        return chunks
    }

    /// Splits a text at a word wherever it appears in capitals and not as part of another word.
    static func sections(of text: String, at word: String = "BREAK") -> [String] {
        let scalars = Array(text.unicodeScalars)
        let word = Array(word.unicodeScalars)
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

/// The prompts of a render and the syntax to read them with.
package struct PromptWording: Sendable {
    package var positive: String
    package var negative: String?
    /// Prompt for the second text encoder; nil to use the same as for the first.
    package var positive2: String?
    package var negative2: String?
    package var syntax: PromptSyntax

    package init(
        _ positive: String,
        negative: String? = nil,
        positive2: String? = nil,
        negative2: String? = nil,
        syntax: PromptSyntax = .plain
    ) {
        (self.positive, self.negative, self.syntax) = (positive, negative, syntax)
        (self.positive2, self.negative2) = (positive2, negative2)
    }

    /// Rejects prompts that cannot be read or recorded.
    ///
    /// - Throws: `InputError` naming the flag
    package func check() throws(InputError) {
        for (flag, text) in [
            ("--prompt", positive), ("--negative-prompt", negative), ("--prompt-2", positive2),
            ("--negative-prompt-2", negative2),
        ] {
            if let text { try PromptLimits.check(text, syntax, flag: flag) }
        }
    }

    /// The prompts for a model that has only the second text encoder.
    package var ofSecondEncoder: PromptWording {
        PromptWording(
            positive2 ?? positive,
            negative: negative2 ?? negative,
            syntax: syntax
        )
    }
}

/// Positive and negative prompts, padded to the same number of chunks.
package struct PromptPair: Sendable {
    /// The prompts of a run of sampling steps; a prompt that changes has several of the same size.
    package struct Turn: Sendable {
        /// Number of sampling steps that use it.
        package let steps: Int
        /// Positive prompts: several if AND joins them.
        package let positives: [PromptChunks]
        package let negative: PromptChunks?

        package var positive: PromptChunks { positives[0] }
    }

    package let turns: [Turn]
    /// Weights of the positive prompts: several if AND joins them.
    package let weights: [Float]
    /// The tokenizers of the model's text encoders, in order.
    let tokenizers: [PromptTokenizer]
    /// Textual inversions that neither prompt names.
    package let unusedWords: [String]
    private let isNegativeGiven: Bool

    /// The positive prompt of the first steps.
    package var positive: PromptChunks { turns[0].positive }
    /// The negative prompt of the first steps: nil if guidance does not use one, the empty prompt if none was given.
    package var negative: PromptChunks? { turns[0].negative }

    /// Number of chunks in each prompt: shorter ones are padded with empty chunks.
    package var count: Int {
        turns.flatMap { $0.positives.map(\.count) + [$0.negative?.count ?? 0] }.max() ?? 1
    }

    /// Whether a negative prompt was given.
    var hasNegative: Bool { isNegativeGiven }

    /// Reads the tokenizers of a model and splits the prompts into chunks.
    ///
    /// - Parameters:
    ///   - positive: what the picture shows
    ///   - negative: what guidance steers away from
    ///   - guides: whether there is guidance
    ///   - model: the model whose tokenizers are used
    /// - Throws: `InputError` for a prompt that is too long, and from the tokenizers' files
    package init(positive: String, negative: String?, guides: Bool, model: Model) throws {
        try self.init(PromptWording(positive, negative: negative), guides: guides, model: model)
    }

    /// The same for prompts in any syntax.
    ///
    /// - Parameters:
    ///   - wording: the prompts
    ///   - steps: number of steps of a phase, over which the prompts may change
    ///   - guides: whether there is guidance
    ///   - model: the model whose tokenizers are used
    /// - Throws: `InputError` for a prompt that is too long or cannot be read, and from the tokenizers' files
    package init(
        _ wording: PromptWording,
        steps: Int = 1,
        guides: Bool,
        model: Model
    ) throws {
        let tokenizers = try model.promptTokenizers()
        self.tokenizers = tokenizers
        isNegativeGiven = wording.negative != nil || wording.negative2 != nil
        if tokenizers.count < 2 {
            for (flag, text) in [
                ("--prompt-2", wording.positive2), ("--negative-prompt-2", wording.negative2),
            ] where text != nil {
                throw InputError(
                    flag,
                    "\(model.family.name) has one text encoder",
                    fix: "Leave it out"
                )
            }
        }
        try wording.check()
        let (syntax, negative) = (wording.syntax, wording.negative ?? "")
        let parts = PromptPart.parts(of: wording.positive, syntax)
        let seconds = wording.positive2.map { PromptPart.parts(of: $0, syntax) }
        guard seconds == nil || seconds?.map(\.weight) == parts.map(\.weight) else {
            throw InputError(
                "--prompt-2",
                "its AND parts and weights differ from those of --prompt",
                fix: "Give both as many parts, or leave it out"
            )
        }
        guard parts.count <= PromptPart.maxCount else {
            throw InputError(
                "--prompt",
                "AND joins \(parts.count) prompts",
                fix: "Use at most \(PromptPart.maxCount)"
            )
        }
        weights = parts.map(\.weight)
        // The parts of a joined prompt are used as differences from the negative one, at any guidance scale.
        let needsNegative = guides || PromptPart.areJoined(weights)
        func texts(_ first: String, _ second: String?) -> Texts {
            Texts(
                [first, second ?? first].prefix(tokenizers.count).map { $0 },
                syntax,
                steps: steps
            )
        }
        var positives: [Texts] = []
        for (i, part) in parts.enumerated() {
            positives.append(texts(part.text, seconds?[i].text))
        }
        let negatives = needsNegative ? texts(negative, wording.negative2) : nil
        func chunks(_ texts: [String], _ flag: String) throws(InputError) -> PromptChunks {
            let fragments = texts.map { text in
                syntax == .plain ? PromptFragment.plain(text) : PromptFragment.weighted(text)
            }
            for fragments in fragments { try PromptLimits.check(fragments, flag: flag) }
            return try PromptChunks(
                fragments,
                tokenizers,
                cutsAtCommas: syntax == .a1111,
                flag: flag
            )
        }
        var turns: [Turn] = []
        var at = 0
        while at < steps || turns.isEmpty {
            let lengths = positives.map { $0.length(at) } + [negatives?.length(at) ?? .max]
            let length = lengths.min() ?? 1
            var own: [PromptChunks] = []
            for part in positives { own.append(try chunks(part.texts(at), "--prompt")) }
            turns.append(
                Turn(
                    steps: length,
                    positives: own,
                    negative: try (negatives?.texts(at)).map { own throws(InputError) in
                        try chunks(own, "--negative-prompt")
                    }
                )
            )
            at += length
        }
        self.turns = turns
        let used = turns.reduce(into: Set<String>()) {
            for chunks in $1.positives { $0.formUnion(chunks.words) }
            $0.formUnion($1.negative?.words ?? [])
        }
        unusedWords = try model.inversions().map(\.word).filter { !used.contains($0.lowercased()) }
    }

    /// The texts for the text encoders, as they change over the steps.
    private struct Texts {
        private var schedules: [[(text: String, count: Int)]] = []

        init(_ texts: [String], _ syntax: PromptSyntax, steps: Int) {
            for text in texts {
                guard syntax == .a1111 else {
                    schedules.append([(text, max(1, steps))])
                    continue
                }
                let own = PromptTag.removed(from: text)
                schedules.append(PromptSchedule.texts(own, steps: max(1, steps)))
            }
        }

        private func turn(_ schedule: [(text: String, count: Int)], _ step: Int) -> (Int, Int) {
            var (at, end) = (0, schedule[0].count)
            while step >= end, at + 1 < schedule.count {
                at += 1
                end += schedule[at].count
            }
            return (at, end)
        }

        /// The texts at a step, counted from 0: one per text encoder.
        func texts(_ step: Int) -> [String] {
            schedules.map { $0[turn($0, step).0].text }
        }

        /// Number of steps, from this one on, for which the texts stay the same.
        func length(_ step: Int) -> Int {
            schedules.map { turn($0, step).1 - step }.min() ?? 1
        }
    }

    /// Numbers of tokens and chunks, in one line.
    package var summary: String {
        func size(_ prompt: PromptChunks) -> String {
            let tokens = prompt.tokens == 1 ? "1 token" : "\(prompt.tokens) tokens"
            return tokens + (prompt.count == 1 ? "" : " in \(prompt.count) chunks")
        }
        let own = zip(turns[0].positives, weights).map { chunks, weight in
            size(chunks) + (weight == 1 ? "" : " with weight \(weight)")
        }
        let sides =
            [own.joined(separator: " AND ")]
            + (negative.map { ["negative prompt \(size($0))"] } ?? [])
        let each = count == 1 ? "1 chunk" : "\(count) chunks"
        let changes = turns.count == 1 ? "" : ", changing \(turns.count - 1) times"
        return sides.joined(separator: ", ") + " (\(each) of \(positive.room))" + changes
    }
}

extension Model {
    /// The tokenizers of all text encoders, in order.
    ///
    /// - Throws: `InputError` if their files are missing, contradict each other or split prompts differently
    func tokenizers() throws -> [CLIPTokenizer] {
        let tokenizers = try family.textEncoders.map { try tokenizer($0) }
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
