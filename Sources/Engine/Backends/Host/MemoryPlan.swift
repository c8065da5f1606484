/// Assigns each buffer of an evaluation a place in one block of memory. Buffers whose lifetimes do
/// not overlap may share memory.
package struct MemoryPlan: Equatable {
    /// The lifetime of one buffer, from allocation to release, on a clock that all buffers share.
    package struct Life: Equatable {
        package let bytes: Int
        package let taken: Int
        package var returned: Int

        package init(bytes: Int, taken: Int, returned: Int) {
            (self.bytes, self.taken, self.returned) = (bytes, taken, returned)
        }
    }

    /// Offset and size in bytes of every buffer, in the order of allocation.
    package let places: [(offset: Int, bytes: Int)]
    /// Size of the block in bytes.
    package let size: Int

    /// Alignment of buffers, in bytes.
    package static let alignment = 64

    /// Places the largest buffers first, each at the lowest offset where it overlaps no buffer
    /// that is alive at the same time.
    package init(_ lives: [Life]) {
        var places = lives.map { (offset: 0, bytes: $0.bytes) }
        var placed: [Int] = []
        for i in lives.indices.sorted(by: { lives[$0].bytes > lives[$1].bytes }) {
            let neighbours = placed.filter {
                lives[$0].taken < lives[i].returned && lives[i].taken < lives[$0].returned
            }.sorted { places[$0].offset < places[$1].offset }
            var offset = 0
            for other in neighbours where offset + lives[i].bytes > places[other].offset {
                offset = max(offset, Self.rounded(places[other].offset + lives[other].bytes))
            }
            places[i].offset = offset
            placed.append(i)
        }
        self.places = places
        size = places.map { Self.rounded($0.offset + $0.bytes) }.max() ?? 0
    }

    package static func rounded(_ bytes: Int) -> Int {
        (bytes + alignment - 1) / alignment * alignment
    }

    package static func == (a: MemoryPlan, b: MemoryPlan) -> Bool {
        a.size == b.size && a.places.elementsEqual(b.places, by: ==)
    }
}
