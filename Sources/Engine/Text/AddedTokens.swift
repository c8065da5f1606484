/// A string that is matched as a whole before byte pairs are merged: a special token, or one that was
/// added in training.
struct AddedToken: Equatable, Sendable {
    let content: String
    let id: Int
    let flags: Flags

    /// How a token is matched; the options are named as in Transformers' files.
    struct Flags: Equatable, Sendable {
        /// `lstrip`: white space before it is part of the match.
        var lstrip = false
        /// `rstrip`: white space after it is part of the match.
        var rstrip = false
        /// `single_word`: it must not touch a letter, digit or mark.
        var singleWord = false
        /// `normalized`: it is normalised, too, and matched in the normalised text, so case is ignored.
        var normalized = false
    }
}

/// Finds added tokens in a text, from left to right and preferring the longest at each position.
struct AddedTokenFinder: Sendable {
    private struct Pattern {
        let scalars: [Unicode.Scalar]
        let token: AddedToken
    }

    enum Piece {
        case token(Int)
        case text(ArraySlice<Unicode.Scalar>)
    }

    /// Patterns by their first scalar, longest first.
    private var patterns: [Unicode.Scalar: [Pattern]] = [:]

    /// - Parameters:
    ///   - tokens: the tokens to find
    ///   - spelling: how a token appears in the texts that will be split
    init(_ tokens: [AddedToken], spelling: (String) -> [Unicode.Scalar]) {
        for token in tokens {
            let scalars = spelling(token.content)
            guard let first = scalars.first else { continue }
            patterns[first, default: []].append(Pattern(scalars: scalars, token: token))
        }
        for first in patterns.keys {
            patterns[first]?.sort {
                ($1.scalars.count, $0.token.id) < ($0.scalars.count, $1.token.id)
            }
        }
    }

    /// Splits a text at its added tokens.
    func split(_ text: [Unicode.Scalar]) -> [Piece] {
        guard !patterns.isEmpty else { return text.isEmpty ? [] : [.text(text[...])] }
        var pieces: [Piece] = []
        var (at, done) = (0, 0)
        while at < text.count {
            let rest = text[at...]
            guard
                let found = patterns[text[at]]?.first(where: { rest.starts(with: $0.scalars) })
            else {
                at += 1
                continue
            }
            var (start, end) = (at, at + found.scalars.count)
            at = end
            let flags = found.token.flags
            let isInWord =
                (start > 0 && text[start - 1].isWordLike)
                || (end < text.count && text[end].isWordLike)
            if flags.singleWord && isInWord { continue }
            while flags.lstrip, start > done, text[start - 1].properties.isWhitespace { start -= 1 }
            while flags.rstrip, end < text.count, text[end].properties.isWhitespace { end += 1 }
            if done < start { pieces.append(.text(text[done..<start])) }
            pieces.append(.token(found.token.id))
            done = end
        }
        if done < text.count { pieces.append(.text(text[done...])) }
        return pieces
    }
}

extension Unicode.Scalar {
    /// Whether a regular expression's `\w` matches this (Unicode, UTS 18, annex C).
    fileprivate var isWordLike: Bool {
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            return true
        default: return false
        }
    }
}
