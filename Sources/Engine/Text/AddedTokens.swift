/// A word that is found in a text as a whole before byte pairs are merged: a special one, or one that was
/// trained into a model.
struct AddedToken: Equatable, Sendable {
    let content: String
    let id: Int
    let flags: Flags

    /// How it is found, by the names of Transformers' files.
    struct Flags: Equatable, Sendable {
        /// White space before it belongs to it.
        var lstrip = false
        /// White space after it belongs to it.
        var rstrip = false
        /// It must not touch a letter, digit or mark.
        var singleWord = false
        /// It is found in the normalised text, itself normalised: in any case of letters.
        var normalized = false
    }
}

/// Finds added tokens in a text: from the left, and of those that begin at one place the longest.
struct AddedTokenFinder: Sendable {
    private struct Pattern {
        let scalars: [Unicode.Scalar]
        let token: AddedToken
    }

    enum Piece {
        case token(Int)
        case text(ArraySlice<Unicode.Scalar>)
    }

    /// By their first scalar, the longest first.
    private var patterns: [Unicode.Scalar: [Pattern]] = [:]

    /// - Parameters:
    ///   - tokens: what is to be found
    ///   - spelling: what a token looks like in the texts that will be split
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

    /// Cuts a text at the tokens in it.
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
    /// Whether a regular expression's `\w` takes this (Unicode, UTS 18, annex C).
    fileprivate var isWordLike: Bool {
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            return true
        default: return false
        }
    }
}
