import CKernels
import Foundation

/// The format of a file of prepared weights: page-aligned blocks, a table of the blocks, and a trailer that locates the
/// table. Numbers are native 64-bit words, because the file never leaves the machine that wrote it.
enum WeightFile {
    /// Version of the file format and of the layouts that backends store in it.
    static let version = 5
    static let page = 4096
    /// Maximum blocks in a file; the largest network has a few thousand.
    private static let maxEntries = 1 << 20
    private static let magic: UInt64 = 0x3153_4554_4847_4957

    /// One block.
    struct Entry {
        let offset: Int
        let size: Int
        let checksum: UInt64

        init(offset: Int, size: Int, checksum: UInt64) {
            (self.offset, self.size, self.checksum) = (offset, size, checksum)
        }

        /// - Returns: nil if it lies outside the blocks of the file
        fileprivate init?(_ words: ArraySlice<UInt64>, end: Int) {
            let words = Array(words)
            guard let offset = Int(exactly: words[0]), let size = Int(exactly: words[1]),
                offset >= 0, size > 0, offset % page == 0, size <= end, offset <= end - size
            else { return nil }
            self.init(offset: offset, size: size, checksum: words[2])
        }
    }

    /// The table and trailer that follow the blocks; the blocks end at `offset`.
    static func ending(_ entries: [Entry], at offset: Int) -> [UInt8] {
        let table = entries.flatMap { [UInt64($0.offset), UInt64($0.size), $0.checksum] }
        let sum = table.withUnsafeBytes { checksum($0) }
        let words = table + [UInt64(offset), UInt64(entries.count), sum, magic]
        return words.withUnsafeBytes { Array($0) }
    }

    /// Reads the table of a file.
    ///
    /// - Returns: nil if the file is incomplete
    static func entries(_ descriptor: Int32) -> [Entry]? {
        var status = stat()
        let word = MemoryLayout<UInt64>.stride
        guard fstat(descriptor, &status) == 0 else { return nil }
        let size = Int(status.st_size)
        guard let trailer = read(descriptor, words: 4, at: size - 4 * word),
            trailer[3] == magic, let offset = Int(exactly: trailer[0]),
            let count = Int(exactly: trailer[1]), offset >= 0, offset <= size,
            count >= 0, count <= maxEntries,
            offset + (3 * count + 4) * word == size,
            let table = read(descriptor, words: 3 * count, at: offset),
            table.withUnsafeBytes({ checksum($0) }) == trailer[2]
        else { return nil }
        let entries = (0..<count).compactMap { Entry(table[3 * $0..<3 * $0 + 3], end: offset) }
        return entries.count == count ? entries : nil
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let start = bytes.baseAddress else { return 0 }
        return tessera_checksum(start, bytes.count)
    }

    /// Maps the bytes of `range`, which must begin at a page, shared and read-only.
    static func map(_ descriptor: Int32, _ range: Range<Int>) -> WeightBlock? {
        let (size, from) = (range.count, off_t(range.lowerBound))
        let memory = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, from)
        guard let memory, memory != MAP_FAILED else { return nil }
        return WeightBlock(memory) { munmap(memory, size) }
    }

    private static func read(_ descriptor: Int32, words count: Int, at offset: Int) -> [UInt64]? {
        guard offset >= 0 else { return nil }
        var words = [UInt64](repeating: 0, count: count)
        let done = words.withUnsafeMutableBytes { bytes -> Bool in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = UnsafeMutableRawBufferPointer(rebasing: rest)
                let at = off_t(offset + rest.startIndex)
                let got = pread(descriptor, part.baseAddress, part.count, at)
                if got <= 0 { return false }
                rest = rest.dropFirst(got)
            }
            return true
        }
        return done ? words : nil
    }
}

/// Weights mapped from a complete file.
final class MappedWeights: WeightMemory {
    private let whole: WeightBlock
    private var entries: ArraySlice<WeightFile.Entry>

    /// - Returns: nil if the file is missing or incomplete
    init?(file: String) {
        guard let (descriptor, _) = try? InputFile.open(file) else { return nil }
        defer { close(descriptor) }
        // A single mapping, so that huge pages can span block boundaries.
        guard let entries = WeightFile.entries(descriptor),
            let end = entries.map({ $0.offset + $0.size }).max(),
            let whole = WeightFile.map(descriptor, 0..<end)
        else { return nil }
        self.whole = whole
        self.entries = entries[...]
        // Updates the modification time, which marks the file as used.
        futimens(descriptor, nil)
    }

    var isFilled: Bool { true }

    func next(_ size: Int, fill: (UnsafeMutableRawPointer) throws -> Void) throws -> WeightBlock {
        guard let entry = entries.popFirst(), entry.size == size else { throw StaleWeights() }
        let start = whole.start + entry.offset
        let bytes = UnsafeRawBufferPointer(start: start, count: size)
        guard WeightFile.checksum(bytes) == entry.checksum else { throw StaleWeights() }
        return WeightBlock(start) { [whole] in withExtendedLifetime(whole) {} }
    }
}

/// Weights that are written to a file as they are prepared, and mapped from it.
final class WrittenWeights: WeightMemory {
    private let file: TemporaryFile
    private var entries: [WeightFile.Entry] = []
    private var end = 0
    private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    init(_ file: TemporaryFile) {
        self.file = file
    }

    deinit { scratch.deallocate() }

    var isFilled: Bool { false }

    func next(_ size: Int, fill: (UnsafeMutableRawPointer) throws -> Void) throws -> WeightBlock {
        let whole = (size + WeightFile.page - 1) / WeightFile.page * WeightFile.page
        if scratch.count < whole {
            scratch.deallocate()
            scratch = .allocate(byteCount: whole, alignment: WeightFile.page)
        }
        guard let start = scratch.baseAddress else { throw StaleWeights() }
        // Padding from the end of the weights to the end of the page.
        (start + size).initializeMemory(as: UInt8.self, repeating: 0, count: whole - size)
        try fill(start)
        let bytes = UnsafeRawBufferPointer(start: start, count: size)
        let entry = WeightFile.Entry(
            offset: end,
            size: size,
            checksum: WeightFile.checksum(bytes)
        )
        try file.write(UnsafeRawBufferPointer(start: start, count: whole))
        guard let block = WeightFile.map(file.descriptor, end..<end + size) else {
            throw OutputError(file.path, String(cString: strerror(errno)))
        }
        entries.append(entry)
        end += whole
        return block
    }

    /// Gives the file its final name; existing mappings stay valid.
    ///
    /// - Throws: `OutputError` if it cannot be completed
    func finish() throws(OutputError) {
        try file.write(WeightFile.ending(entries, at: end))
        try file.commit()
    }
}
