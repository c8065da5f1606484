import Foundation

/// Byte-pair encoding with CLIP's alphabet: every byte is a letter, and the last letter of a word is
/// another one.
struct BytePairs: Sendable {
    /// Ids by text.
    let vocabulary: [String: Int]
    private let merges: [Pair: Merge]
    /// Ids of the bytes inside a word, and at its end.
    private let inside: [Int]
    private let last: [Int]

    private struct Pair: Hashable {
        let left: Int
        let right: Int
    }

    private struct Merge {
        let rank: Int
        let id: Int
    }

    /// Reads vocab.json and merges.txt.
    init(folder: String) throws(InputError) {
        let vocabularyFile = "\(folder)/vocab.json"
        let json = try JSON(InputFile.bytes(vocabularyFile), place: vocabularyFile)
        guard let members = json.object else {
            throw InputError(vocabularyFile, "is not an object", fix: "Use the original file")
        }
        var vocabulary: [String: Int] = [:]
        for (text, value) in members {
            guard case .number(let number) = value, number >= 0, number < 1e9,
                number == number.rounded()
            else {
                throw InputError(
                    vocabularyFile,
                    "gives '\(text)' no whole number",
                    fix: "Use the original file"
                )
            }
            vocabulary[text] = Int(number)
        }
        func letter(_ byte: Int, _ suffix: String) throws(InputError) -> Int {
            let text = String(Character(Self.alphabet[byte])) + suffix
            guard let id = vocabulary[text] else {
                throw InputError(
                    vocabularyFile,
                    "lacks the letter '\(text)'",
                    fix: "Use the original file"
                )
            }
            return id
        }
        var (inside, last): ([Int], [Int]) = ([], [])
        for byte in 0..<256 {
            inside.append(try letter(byte, ""))
            last.append(try letter(byte, "</w>"))
        }
        (self.inside, self.last) = (inside, last)
        merges = try Self.merges(file: "\(folder)/merges.txt", vocabulary: vocabulary)
        self.vocabulary = vocabulary
    }

    private static func merges(
        file: String,
        vocabulary: [String: Int]
    ) throws(InputError) -> [Pair: Merge] {
        guard let data = FileManager.default.contents(atPath: file),
            let text = String(validating: data, as: UTF8.self)
        else {
            throw InputError(file, "cannot be read", fix: "Fetch the whole tokenizer folder")
        }
        var merges: [Pair: Merge] = [:]
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#version") {
            let parts = line.split(separator: " ")
            guard parts.count == 2, let left = vocabulary[String(parts[0])],
                let right = vocabulary[String(parts[1])], let id = vocabulary[parts.joined()]
            else {
                throw InputError(
                    file,
                    "has the merge '\(line.prefix(60))', which vocab.json does not know",
                    fix: "Use the files of one tokenizer"
                )
            }
            merges[Pair(left: left, right: right)] = Merge(rank: merges.count, id: id)
        }
        return merges
    }

    /// The letter of each byte: itself where it is printable, else a letter past 255.
    private static let alphabet: [Unicode.Scalar] = {
        let printable = [33...126, 161...172, 174...255]
        var others: UInt32 = 256
        return (0..<256).map { byte in
            if printable.contains(where: { $0.contains(byte) }) {
                return Unicode.Scalar(UInt8(byte))
            }
            defer { others += 1 }
            return Unicode.Scalar(others) ?? "?"
        }
    }()

    /// The ids of one word: the merge of lowest rank first, wherever it occurs, until none applies.
    func encode(_ word: String) -> [Int] {
        var ids = word.utf8.map { inside[Int($0)] }
        guard let final = word.utf8.last else { return [] }
        ids[ids.count - 1] = last[Int(final)]
        while ids.count > 1 {
            var best: (pair: Pair, merge: Merge)?
            for (left, right) in zip(ids, ids.dropFirst()) {
                let pair = Pair(left: left, right: right)
                guard let merge = merges[pair] else { continue }
                if merge.rank < best?.merge.rank ?? .max { best = (pair, merge) }
            }
            guard let best else { break }
            var merged: [Int] = []
            var i = 0
            while i < ids.count {
                let fits =
                    ids[i] == best.pair.left && i + 1 < ids.count && ids[i + 1] == best.pair.right
                merged.append(fits ? best.merge.id : ids[i])
                i += fits ? 2 : 1
            }
            ids = merged
        }
        return ids
    }
}
