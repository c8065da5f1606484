import Foundation

/// The vocabulary and merges of a tokenizer folder: `vocab.json` and
/// `merges.txt`, or `tokenizer.json`, which is all that Transformers 5 writes.
struct TokenizerFolder {
    /// Token ids by text.
    let vocabulary: [String: Int]
    /// The file that they come from.
    let vocabularyFile: String
    /// Pairs of tokens to merge, in order of rank.
    let merges: [(left: String, right: String)]
    /// The file that they come from.
    let mergesFile: String
    /// `added_tokens` of `tokenizer.json`.
    private(set) var added: [JSON] = []

    private static let pair = ["vocab.json", "merges.txt"]
    private static let whole = "tokenizer.json"

    /// Whether a folder contains a tokenizer's files.
    static func isThere(_ folder: String) -> Bool {
        func has(_ name: String) -> Bool {
            FileManager.default.fileExists(atPath: "\(folder)/\(name)")
        }
        return pair.allSatisfy(has) || has(whole)
    }

    /// The folder that `--tokenizer` gives for a component.
    ///
    /// - Throws: `InputError` if there is none
    static func given(_ folder: String, for component: Component) throws(InputError) -> String {
        for place in ["\(folder)/\(component.tokenizer)", folder] where isThere(place) {
            return place
        }
        throw InputError(
            "--tokenizer \(folder)",
            "it has neither tokenizer.json nor vocab.json and merges.txt",
            fix: "Name a folder that holds them"
        )
    }

    /// Reads the files; the pair takes precedence over `tokenizer.json`.
    init(_ folder: String) throws(InputError) {
        let whole = "\(folder)/\(Self.whole)"
        let hasWhole = FileManager.default.fileExists(atPath: whole)
        let hasPair = Self.pair.allSatisfy {
            FileManager.default.fileExists(atPath: "\(folder)/\($0)")
        }
        if hasWhole, !hasPair {
            try self.init(whole: whole)
        } else {
            try self.init(pairIn: folder)
            if hasWhole, let members = try JSON(InputFile.bytes(whole), place: whole).object {
                added = members["added_tokens"]?.array ?? []
            }
        }
    }

    private init(pairIn folder: String) throws(InputError) {
        vocabularyFile = "\(folder)/\(Self.pair[0])"
        mergesFile = "\(folder)/\(Self.pair[1])"
        let json = try JSON(InputFile.bytes(vocabularyFile), place: vocabularyFile)
        vocabulary = try Self.vocabulary(json, vocabularyFile)
        var merges: [(String, String)] = []
        for line in try Self.text(mergesFile).split(whereSeparator: \.isNewline)
        where !line.hasPrefix("#version") {
            merges.append(try Self.merge(String(line), mergesFile))
        }
        self.merges = merges
    }

    private init(whole file: String) throws(InputError) {
        (vocabularyFile, mergesFile) = (file, file)
        guard let members = try JSON(InputFile.bytes(file), place: file).object,
            let model = members["model"]?.object, let words = model["vocab"],
            case .array(let pairs)? = model["merges"]
        else {
            throw InputError(
                file,
                "has no model with a vocab and merges",
                fix: "Use the original file"
            )
        }
        for (key, expected) in [("type", "BPE"), ("end_of_word_suffix", "</w>")] {
            if let value = model[key], value != .null, value != .string(expected) {
                throw InputError(
                    "\(file), 'model.\(key)'",
                    "is not '\(expected)'",
                    fix: "Use a tokenizer for CLIP"
                )
            }
        }
        vocabulary = try Self.vocabulary(words, file)
        var merges: [(String, String)] = []
        for pair in pairs {
            switch pair {
            case .string(let line): merges.append(try Self.merge(line, file))
            case .array(let sides):
                guard sides.count == 2, let left = sides[0].string, let right = sides[1].string
                else { throw Self.unreadable("\(sides.prefix(3))", file) }
                merges.append((left, right))
            default: throw Self.unreadable("\(pair)", file)
            }
        }
        self.merges = merges
        added = members["added_tokens"]?.array ?? []
    }

    private static func vocabulary(
        _ json: JSON,
        _ file: String
    ) throws(InputError) -> [String: Int] {
        guard let members = json.object else {
            throw InputError(file, "has no object of words", fix: "Use the original file")
        }
        var vocabulary: [String: Int] = [:]
        vocabulary.reserveCapacity(members.count)
        for (text, value) in members {
            guard let id = tokenID(value) else {
                throw InputError(
                    file,
                    "has an id for '\(text)' that is not a whole number",
                    fix: "Use the original file"
                )
            }
            vocabulary[text] = id
        }
        return vocabulary
    }

    /// A valid token id; nil for anything else.
    static func tokenID(_ value: JSON?) -> Int? {
        value?.integer.flatMap { (0..<1_000_000_000).contains($0) ? $0 : nil }
    }

    private static func merge(
        _ line: String,
        _ file: String
    ) throws(InputError) -> (String, String) {
        let parts = line.split(separator: " ")
        guard parts.count == 2 else { throw unreadable(line, file) }
        return (String(parts[0]), String(parts[1]))
    }

    private static func unreadable(_ merge: String, _ file: String) -> InputError {
        InputError(
            file,
            "has the merge '\(merge.prefix(60))', which is not a pair",
            fix: "Use the original file"
        )
    }

    /// A text file without its byte-order mark.
    private static func text(_ file: String) throws(InputError) -> String {
        let text = try InputFile.text(file)
        return text.unicodeScalars.first == "\u{FEFF}"
            ? String(text.unicodeScalars.dropFirst()) : text
    }
}
