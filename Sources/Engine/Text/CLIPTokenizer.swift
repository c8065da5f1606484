import Foundation

/// CLIP's byte-pair tokenizer, as Transformers runs it on a tokenizer folder.
package struct CLIPTokenizer: Sendable {
    private let pairs: BytePairs
    private let specials: [SpecialToken]
    private let begin: Int
    private let end: Int
    private let padding: Int
    /// Ids of an encoded prompt.
    package let length: Int

    /// Tokens of the vocabulary.
    package let count: Int

    /// Reads vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json.
    ///
    /// - Parameters:
    ///   - folder: the last two files may be missing there
    ///   - own: the token that short prompts are filled up with, whatever the files say
    /// - Throws: `InputError` where a file is missing or contradicts another
    package init(folder: String, padding own: String? = nil) throws {
        pairs = try BytePairs(folder: folder)
        let config = try SpecialTokenFiles(folder: folder)
        let pairs = pairs
        func id(_ role: String, default fallback: String) throws -> Int {
            let text = config.text(of: role) ?? fallback
            guard let id = pairs.vocabulary[text] else {
                throw InputError(
                    "\(folder)/tokenizer_config.json",
                    "names the \(role) '\(text)', which vocab.json lacks",
                    fix: "Use the files of one tokenizer"
                )
            }
            return id
        }
        let last = "<|endoftext|>"
        begin = try id("bos_token", default: "<|startoftext|>")
        end = try id("eos_token", default: last)
        if let own, let id = pairs.vocabulary[own] {
            padding = id
        } else {
            padding = try id("pad_token", default: last)
        }
        count = (pairs.vocabulary.values.max() ?? 0) + 1
        _ = try id("unk_token", default: last)
        length = config.length
        specials = config.tokens(vocabulary: pairs.vocabulary)
    }

    /// The ids of a prompt: begin, at most `length` − 2 ids of text, end, padding.
    package func encode(_ text: String) -> [Int] {
        var ids = [begin]
        for piece in split(text) {
            switch piece {
            case .special(let id): ids.append(id)
            case .text(let text):
                for word in CLIPWords(of: normalised(text)) {
                    ids += pairs.encode(word)
                    if ids.count >= length { break }
                }
            }
            if ids.count >= length { break }
        }
        ids = Array(ids.prefix(length - 1))
        ids.append(end)
        return ids + Array(repeating: padding, count: length - ids.count)
    }

    private enum Piece {
        case special(Int)
        case text(String)
    }

    /// Cuts a text at the special tokens that it spells out.
    private func split(_ text: String) -> [Piece] {
        let scalars = Array(text.unicodeScalars)
        var pieces: [Piece] = []
        var plain = String.UnicodeScalarView()
        var at = 0
        while at < scalars.count {
            guard let token = specials.first(where: { $0.stands(in: scalars, at: at) }) else {
                plain.append(scalars[at])
                at += 1
                continue
            }
            if !plain.isEmpty { pieces.append(.text(String(plain))) }
            plain = String.UnicodeScalarView()
            pieces.append(.special(token.id))
            at += token.scalars.count
        }
        return plain.isEmpty ? pieces : pieces + [.text(String(plain))]
    }

    /// Composed (NFC) and in lower case, scalar by scalar.
    private func normalised(_ text: String) -> [Unicode.Scalar] {
        var scalars: [Unicode.Scalar] = []
        var piece = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            if count >= Self.pieceLength && scalar.beginsSyllable {
                Self.normalise(String(piece), into: &scalars)
                piece = String.UnicodeScalarView()
                count = 0
            }
            piece.append(scalar)
            count += 1
        }
        Self.normalise(String(piece), into: &scalars)
        return scalars
    }

    /// Foundation takes quadratic time to compose a text; it gets pieces of about so many scalars.
    private static let pieceLength = 256

    private static func normalise(_ piece: String, into scalars: inout [Unicode.Scalar]) {
        // Foundation leaves some sequences of marks and syllables as they are unless everything
        // has been taken apart before.
        let composed = piece.decomposedStringWithCanonicalMapping
            .precomposedStringWithCanonicalMapping
        for scalar in composed.unicodeScalars {
            if scalar.isASCII && !("A"..."Z").contains(scalar) {
                scalars.append(scalar)
            } else {
                scalars.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
    }
}

extension Unicode.Scalar {
    /// Whether nothing before this composes with it: it is no mark, and no vowel or end of a Hangul
    /// syllable.
    fileprivate var beginsSyllable: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: false
        default: !(0x1160...0x11FF).contains(value)
        }
    }

    /// Whether Unicode 16 has this character: what comes later is no letter to Transformers yet.
    fileprivate var isKnown: Bool { (properties.age?.major ?? .max) <= 16 }
}

/// A token that is found in a text before anything else happens to it.
struct SpecialToken: Sendable {
    let scalars: [Unicode.Scalar]
    let id: Int

    /// Whether the text spells this token out at a place.
    func stands(in text: [Unicode.Scalar], at start: Int) -> Bool {
        text[start] == scalars[0] && text[start...].starts(with: scalars)
    }
}

/// The words of a normalised text: what byte pairs are merged within.
///
/// Contractions, runs of letters, single digits, and runs of anything else that is not white space.
struct CLIPWords: Sequence, IteratorProtocol {
    private let text: [Unicode.Scalar]
    private var at = 0
    private var waiting: [String] = []

    init(of text: [Unicode.Scalar]) { self.text = text }

    private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map {
        Array($0.unicodeScalars)
    }
    /// Spelt in capitals these are no special tokens, but they still end a run; byte pairs see the
    /// three parts.
    private static let markers = ["startoftext", "endoftext"].map {
        (scalars: Array("<|\($0)|>".unicodeScalars), parts: ["<|", $0, "|>"])
    }

    mutating func next() -> String? {
        if !waiting.isEmpty { return waiting.removeFirst() }
        while at < text.count, text[at].properties.isWhitespace { at += 1 }
        guard at < text.count else { return nil }
        for marker in Self.markers where text[at...].starts(with: marker.scalars) {
            at += marker.scalars.count
            waiting = Array(marker.parts.dropFirst())
            return marker.parts[0]
        }
        for contraction in Self.contractions where text[at...].starts(with: contraction) {
            return take(contraction.count)
        }
        if Self.isLetter(text[at]) { return take(run(Self.isLetter)) }
        if Self.isNumber(text[at]) { return take(1) }
        return take(
            run { !$0.properties.isWhitespace && !Self.isLetter($0) && !Self.isNumber($0) }
        )
    }

    private func run(_ belongs: (Unicode.Scalar) -> Bool) -> Int {
        text[at...].prefix(while: belongs).count
    }

    private mutating func take(_ count: Int) -> String {
        defer { at += count }
        var word = String.UnicodeScalarView()
        word.append(contentsOf: text[at..<at + count])
        return String(word)
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            scalar.isKnown
        default: false
        }
    }

    private static func isNumber(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: scalar.isKnown
        default: false
        }
    }
}
