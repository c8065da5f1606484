/// How a prompt is read. The raw values are those of `--prompt-syntax`.
package enum PromptSyntax: String, CaseIterable, Sendable {
    /// Literally, except for the word BREAK.
    case plain
    /// With the syntax of AUTOMATIC1111's web interface: weights, schedules and LoRA tags.
    case a1111

    /// The syntax in a prompt that `a1111` would read differently, by example; nil if there is none.
    package static func hint(in text: String) -> String? {
        if !PromptTag.tags(in: text).isEmpty { return "<lora:…>" }
        guard PromptLimits.depth(of: text) <= PromptLimits.maxDepth else { return "(…) or […]" }
        if PromptChunks.sections(of: text, at: "AND").count > 1 { return "AND" }
        if PromptSchedule.texts(text, steps: 10).count > 1 { return "[from:to:when] or [a|b]" }
        let weighted = PromptFragment.weighted(text)
        let isChanged = weighted.contains {
            if case .text(_, let weight) = $0 { weight != 1 } else { false }
        }
        guard isChanged else { return nil }
        return text.contains("[") && !text.contains("(") ? "[…]" : "(…) or (…:1.2)"
    }
}

/// A part of a prompt.
enum PromptFragment: Equatable, Sendable {
    /// Text whose tokens all have the same weight.
    case text(String, Float)
    /// The end of a chunk.
    case end

    /// A prompt without weights, split at BREAK.
    static func plain(_ text: String) -> [PromptFragment] {
        Array(PromptChunks.sections(of: text).map { [.text($0, 1)] }.joined(separator: [.end]))
    }

    /// Weight factors of a pair of brackets without a number.
    private static let round = 1.1
    private static let square = 1 / 1.1

    /// A prompt with A1111's weights: `(a)` is 1.1 times stronger, `[a]` 1.1 times weaker, `(a:1.3)` 1.3 times
    /// stronger; `\(` is a literal bracket. Brackets that are never closed count as closed at the end.
    ///
    /// Takes time proportional to the number of brackets open at once (`PromptLimits.maxDepth`).
    static func weighted(_ text: String) -> [PromptFragment] {
        var parts: [(text: String, weight: Double)] = []
        var (rounds, squares): ([Int], [Int]) = ([], [])
        let scalars = Array(text.unicodeScalars)
        func multiply(from start: Int, by factor: Double) {
            for i in start..<max(start, parts.count) { parts[i].weight *= factor }
        }
        // Parts before this index are complete: a bracket follows them.
        var ended = 0
        func add(_ scalar: Unicode.Scalar) {
            if parts.count <= ended { parts.append(("", 1)) }
            parts[parts.count - 1].text.unicodeScalars.append(scalar)
        }
        var at = 0
        while at < scalars.count {
            let scalar = scalars[at]
            at += 1
            switch scalar {
            case "\\":
                // A backslash before any other character is dropped.
                guard at < scalars.count, "()[]\\".unicodeScalars.contains(scalars[at]) else {
                    continue
                }
                add(scalars[at])
                at += 1
            case "(":
                ended = parts.count
                rounds.append(parts.count)
            case "[":
                ended = parts.count
                squares.append(parts.count)
            case ")" where !rounds.isEmpty:
                multiply(from: rounds.removeLast(), by: round)
                ended = parts.count
            case "]" where !squares.isEmpty:
                multiply(from: squares.removeLast(), by: square)
                ended = parts.count
            case ":" where !rounds.isEmpty:
                guard let (weight, end) = number(scalars, from: at) else {
                    add(scalar)
                    continue
                }
                multiply(from: rounds.removeLast(), by: weight)
                ended = parts.count
                at = end
            default: add(scalar)
            }
        }
        for start in rounds { multiply(from: start, by: round) }
        for start in squares { multiply(from: start, by: square) }
        var fragments: [PromptFragment] = []
        for part in parts {
            for (i, section) in PromptChunks.sections(of: part.text).enumerated() {
                if i > 0 { fragments.append(.end) }
                let text = i > 0 ? String(section.trimmingPrefix(while: \.isWhitespace)) : section
                let weight = Float(part.weight)
                // Neighbours of equal weight are merged: a word may begin in one and end in the other.
                if case .text(let before, weight)? = fragments.last {
                    fragments[fragments.count - 1] = .text(before + text, weight)
                } else {
                    fragments.append(.text(text, weight))
                }
            }
        }
        return fragments.isEmpty ? [.text("", 1)] : fragments
    }

    /// Parses a number followed by a closing bracket, with optional white space.
    private static func number(
        _ scalars: [Unicode.Scalar],
        from start: Int
    ) -> (value: Double, end: Int)? {
        var (at, digits) = (start, "")
        func skip() {
            while at < scalars.count, scalars[at].properties.isWhitespace { at += 1 }
        }
        skip()
        while at < scalars.count, "+-.0123456789".unicodeScalars.contains(scalars[at]) {
            digits.unicodeScalars.append(scalars[at])
            at += 1
        }
        skip()
        guard at < scalars.count, scalars[at] == ")", let value = Double(digits) else { return nil }
        return (value, at + 1)
    }
}

/// A tag in a prompt, such as `<lora:name:0.8>`.
package struct PromptTag: Equatable, Sendable {
    /// The word before the first colon, in lower case: `lora` for a LoRA.
    package let kind: String
    /// The fields after the first colon, separated by colons.
    package let arguments: [String]
    /// The whole tag, as written in the prompt.
    package let text: String

    /// The tags of a prompt, in order.
    package static func tags(in text: String) -> [PromptTag] {
        pieces(text).compactMap { if case .tag(let tag) = $0 { tag } else { nil } }
    }

    /// A prompt without some of its tags.
    ///
    /// - Parameters:
    ///   - text: the prompt
    ///   - isKept: whether a tag stays; called with each in order
    /// - Returns: the prompt
    package static func removed(
        from text: String,
        keeping isKept: (PromptTag) -> Bool = { _ in false }
    ) -> String {
        pieces(text).map { piece in
            switch piece {
            case .text(let text): String(text)
            case .tag(let tag): isKept(tag) ? tag.text : ""
            }
        }.joined()
    }

    private enum Piece {
        case text(Substring)
        case tag(PromptTag)
    }

    /// A prompt split at its tags, in one pass.
    private static func pieces(_ text: String) -> [Piece] {
        var pieces: [Piece] = []
        // Everything before `start` is already in `pieces`; each ">" is searched for only once.
        var (start, at) = (text.startIndex, text.startIndex)
        var close: String.Index? = text.startIndex
        while let open = text[at...].firstIndex(of: "<") {
            let inside = text.index(after: open)
            at = inside
            let colon =
                text[inside...].firstIndex {
                    !($0.isLetter || $0.isNumber || $0 == "_")
                } ?? text.endIndex
            guard colon > inside, colon < text.endIndex, text[colon] == ":" else { continue }
            let first = text.index(after: colon)
            if let known = close, known < first { close = text[first...].firstIndex(of: ">") }
            guard let close else { break }
            guard close > first else { continue }
            let arguments = text[first..<close]
                .split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            pieces.append(.text(text[start..<open]))
            pieces.append(
                .tag(
                    PromptTag(
                        kind: text[inside..<colon].lowercased(),
                        arguments: arguments,
                        text: String(text[open...close])
                    )
                )
            )
            start = text.index(after: close)
            at = start
        }
        return pieces + [.text(text[start...])]
    }
}
