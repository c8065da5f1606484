import Engine
import Testing

/// How many bytes of tiles are kept in a device's memory.
@Suite struct TileRoomTests {
    private let tile = 500 << 20

    /// A tile that arrives when `used` others of its size are kept, on a GPU of 24 GiB with `free` GiB free; nil: on
    /// the processor.
    private typealias Arrival = (used: Int, free: Int?)

    private func admitted(_ room: inout TileRoom, _ arrivals: [Arrival]) -> [Bool] {
        arrivals.map { used, free in
            let memory = free.map { DeviceMemory(free: $0 << 30, all: 24 << 30) }
            return room.admits(tile, beside: used * tile, in: memory)
        }
    }

    @Test func aProcessorHasAFixedNumber() {
        var room = TileRoom(bytes: 2 * tile)
        #expect(
            admitted(&room, [(0, nil), (1, nil), (2, nil), (1, nil)]) == [true, true, false, true]
        )
        #expect(room.bytes == 2 * tile)
    }

    /// An eighth of the device, 3 GiB, stays free, as do four tiles, 2 GB, for the next evaluation.
    @Test func aDeviceTakesTilesWhileItHasFreeMemory() {
        var room = TileRoom(bytes: tile)
        #expect(
            admitted(&room, [(1, 6), (2, 5), (3, 4), (3, nil), (3, 5)])
                == [true, true, false, false, true]
        )
        #expect(room.bytes == 4 * tile)
        // Small devices keep at least 1 GiB free.
        var small = TileRoom(bytes: 0)
        let taken = small.admits(1 << 10, beside: 0, in: DeviceMemory(free: 1 << 30, all: 4 << 30))
        #expect(!taken)
    }

    /// Memory that a tile releases stays with PyTorch and does not count as free, but the next tile can use it.
    @Test func whatHasFittedFitsAgain() {
        var room = TileRoom(bytes: 0)
        #expect(admitted(&room, [(0, 9), (1, 9), (1, 0), (2, 0)]) == [true, true, true, false])
    }

    /// The room is halved until all tiles are gone, however much memory seems to be free.
    @Test func aShortageHalvesIt() {
        var room = TileRoom(bytes: tile)
        #expect(admitted(&room, [(3, 9)]) == [true])
        room.halve(from: 4 * tile)
        #expect(admitted(&room, [(1, 9), (2, 9)]) == [true, false])
        room.halve(from: tile)
        #expect(room.bytes == tile / 2)
        room.reopen()
        #expect(room.bytes == tile)
        #expect(admitted(&room, [(2, 9)]) == [true])
    }
}
