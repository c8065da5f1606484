import Foundation

/// CLIP's byte-pair tokenizer, as Transformers runs it on a tokenizer folder.
package struct CLIPTokenizer: Sendable {
    private let pairs: BytePairs
    /// Tokens that are matched in the original text.
    private let literal: AddedTokenFinder
    /// Tokens that are matched in the normalised text.
    private let normalised: AddedTokenFinder
    private let begin: Int
    private let end: Int
    private let padding: Int
    /// Number of ids in a chunk of a prompt: start, `room` ids of text or padding, end.
    package let length: Int

    /// Size of the vocabulary, added tokens included: the highest id plus one.
    package let count: Int

    /// Maximum number of text ids in a chunk.
    package var room: Int { length - 2 }

    /// Reads vocab.json and merges.txt, or tokenizer.json, and the folder's settings for special and added
    /// tokens.
    ///
    /// - Parameters:
    ///   - folder: the tokenizer's folder
    ///   - own: the padding token, overriding the files
    /// - Throws: `InputError` if a file is missing or contradicts another
    package init(folder: String, padding own: String? = nil) throws {
        let files = try TokenizerFolder(folder)
        pairs = try BytePairs(files)
        let config = try SpecialTokenFiles(folder: folder, listed: files.added)
        let tokens = try config.tokens(vocabulary: files.vocabulary, file: files.vocabularyFile)
        let added = Dictionary(tokens.map { ($0.content, $0.id) }) { first, _ in first }
        func known(_ text: String) -> Int? { files.vocabulary[text] ?? added[text] }
        func id(_ role: String, default fallback: String) throws -> Int {
            let text = config.text(of: role) ?? fallback
            guard let id = known(text) else {
                throw InputError(
                    "\(folder)/tokenizer_config.json",
                    "names the \(role) '\(text)', which the vocabulary lacks",
                    fix: "Use the files of one tokenizer"
                )
            }
            return id
        }
        let last = "<|endoftext|>"
        begin = try id("bos_token", default: "<|startoftext|>")
        end = try id("eos_token", default: last)
        if let own, let id = known(own) {
            padding = id
        } else {
            padding = try id("pad_token", default: last)
        }
        count = max(files.vocabulary.values.max() ?? 0, tokens.map(\.id).max() ?? 0) + 1
        _ = try id("unk_token", default: last)
        length = config.length
        literal = AddedTokenFinder(tokens.filter { !$0.flags.normalized }) {
            Array($0.unicodeScalars)
        }
        normalised = AddedTokenFinder(
            tokens.filter(\.flags.normalized),
            spelling: { Self.normalised(String.UnicodeScalarView($0.unicodeScalars)[...]) }
        )
    }

    /// The ids of a text of any length, without start and end.
    package func tokens(of text: String) -> [Int] {
        var ids: [Int] = []
        for piece in literal.split(Array(text.unicodeScalars)) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let raw):
                var view = String.UnicodeScalarView()
                view.append(contentsOf: raw)
                for part in normalised.split(Self.normalised(view[...])) {
                    switch part {
                    case .token(let id): ids.append(id)
                    case .text(let text):
                        for word in CLIPWords(of: Array(text)) { ids += pairs.encode(word) }
                    }
                }
            }
        }
        return ids
    }

    /// A chunk as input for the text encoder: start, ids of text, end, padding.
    ///
    /// - Parameter ids: at most `room`
    /// - Returns: `length` ids
    package func chunk(_ ids: some Collection<Int>) -> [Int] {
        precondition(ids.count <= room, "\(ids.count) ids for \(room)")
        let chunk = [begin] + ids + [end]
        return chunk + Array(repeating: padding, count: length - chunk.count)
    }

    /// The first chunk of a prompt: start, at most `length` − 2 ids of text, end, padding.
    package func encode(_ text: String) -> [Int] { chunk(tokens(of: text).prefix(room)) }

    /// NFC, runs of white space collapsed to one space, and lower case, scalar by scalar.
    private static func normalised(_ text: String.UnicodeScalarView.SubSequence) -> [Unicode.Scalar]
    {
        var scalars: [Unicode.Scalar] = []
        var piece = String.UnicodeScalarView()
        var count = 0
        for scalar in text {
            if count >= pieceLength && scalar.beginsSyllable {
                normalise(String(piece), into: &scalars)
                piece = String.UnicodeScalarView()
                count = 0
            }
            piece.append(scalar)
            count += 1
        }
        normalise(String(piece), into: &scalars)
        return scalars
    }

    /// Approximate size in scalars of the pieces to compose: Foundation takes quadratic time for a text.
    private static let pieceLength = 256

    private static func normalise(_ piece: String, into scalars: inout [Unicode.Scalar]) {
        // Foundation leaves some sequences of marks and syllables unchanged unless everything
        // has been decomposed first.
        let composed = piece.decomposedStringWithCanonicalMapping
            .precomposedStringWithCanonicalMapping
        for scalar in composed.unicodeScalars {
            if scalar.properties.isWhitespace {
                if scalars.last != " " { scalars.append(" ") }
            } else if scalar.isASCII && !("A"..."Z").contains(scalar) {
                scalars.append(scalar)
            } else {
                scalars.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
    }
}

extension Unicode.Scalar {
    /// Whether this never composes with what comes before it: it is neither a mark nor the vowel or final
    /// consonant of a Hangul syllable.
    fileprivate var beginsSyllable: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: false
        default: !(0x1160...0x11FF).contains(value)
        }
    }

    /// Whether Unicode 16 has this character: Transformers does not treat later ones as letters yet.
    fileprivate var isKnown: Bool { (properties.age?.major ?? .max) <= 16 }
}

/// The words of a normalised text, within which byte pairs are merged.
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
    /// Written in capitals these are not special tokens, but they still end a run and are encoded as
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
