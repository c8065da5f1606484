/// Byte-pair encoding with CLIP's alphabet: every byte has a symbol, and a different one at the end
/// of a word.
struct BytePairs: Sendable {
    /// Token ids by text.
    let vocabulary: [String: Int]
    private let merges: [Pair: Merge]
    /// Token ids of the 256 bytes, inside a word and at its end.
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

    /// - Throws: `InputError` for a vocabulary that lacks a letter of the alphabet or a token of a merge
    init(_ files: TokenizerFolder) throws(InputError) {
        let vocabulary = files.vocabulary
        func letter(_ byte: Int, _ suffix: String) throws(InputError) -> Int {
            let text = String(Character(Self.alphabet[byte])) + suffix
            guard let id = vocabulary[text] else {
                throw InputError(
                    files.vocabularyFile,
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
        var merges: [Pair: Merge] = [:]
        merges.reserveCapacity(files.merges.count)
        for (first, second) in files.merges {
            guard let left = vocabulary[first], let right = vocabulary[second],
                let id = vocabulary[first + second]
            else {
                throw InputError(
                    files.mergesFile,
                    "has the merge '\("\(first) \(second)".prefix(60))', which the vocabulary lacks",
                    fix: "Use the files of one tokenizer"
                )
            }
            merges[Pair(left: left, right: right)] = Merge(rank: merges.count, id: id)
        }
        self.merges = merges
        self.vocabulary = vocabulary
    }

    /// The symbol of each byte: the byte itself if it is printable, else a character above 255.
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

    /// The token ids of one word: repeatedly merges the pair of lowest rank, the first one of several, until
    /// no pair is left. Takes O(n log n), because a word may be as long as a whole text.
    func encode(_ word: String) -> [Int] {
        var ids = word.utf8.map { inside[Int($0)] }
        guard let final = word.utf8.last else { return [] }
        ids[ids.count - 1] = last[Int(final)]
        // A doubly linked list; a merged neighbour is unlinked, and its id becomes −1.
        let count = ids.count
        var before = Array(-1..<(count - 1))
        var after = Array(1...count)
        var queue = MergeQueue()
        func consider(_ at: Int) {
            guard at >= 0, after[at] < count else { return }
            let pair = Pair(left: ids[at], right: ids[after[at]])
            guard let merge = merges[pair] else { return }
            queue.push(.init(rank: merge.rank, at: at, id: merge.id))
        }
        for at in 0..<count { consider(at) }
        while let next = queue.pop() {
            // The queued pair may have changed since.
            guard ids[next.at] >= 0, after[next.at] < count,
                let merge = merges[Pair(left: ids[next.at], right: ids[after[next.at]])],
                merge.id == next.id
            else { continue }
            let gone = after[next.at]
            ids[next.at] = next.id
            ids[gone] = -1
            after[next.at] = after[gone]
            if after[gone] < count { before[after[gone]] = next.at }
            consider(before[next.at])
            consider(next.at)
        }
        return ids.filter { $0 >= 0 }
    }
}

/// A binary heap of pending merges, ordered by rank and then by position in the word.
private struct MergeQueue {
    struct Entry {
        let rank: Int
        let at: Int
        let id: Int

        static func < (a: Entry, b: Entry) -> Bool { (a.rank, a.at) < (b.rank, b.at) }
    }

    private var heap: [Entry] = []

    mutating func push(_ entry: Entry) {
        heap.append(entry)
        var at = heap.count - 1
        while at > 0, heap[at] < heap[(at - 1) / 2] {
            heap.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    mutating func pop() -> Entry? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var at = 0
        while true {
            var least = at
            for child in 2 * at + 1...2 * at + 2 where child < heap.count {
                if heap[child] < heap[least] { least = child }
            }
            guard least != at else { return first }
            heap.swapAt(at, least)
            at = least
        }
    }
}
