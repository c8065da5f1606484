import Engine
import Foundation
import Protocol
import TestSupport
import Testing

/// Windows of a latent, sent to a relay without the pixels that it already has.
@Suite struct LatentDeltaTests {
    private let latent = Tensor(
        (0..<48 * 56 * 4).map { Float(($0 * 7919) % 4093) / 4096 },
        shape: [1, 48, 56, 4]
    )

    private func region(_ top: Int, _ left: Int, _ height: Int, _ width: Int) -> Region {
        Region(rows: top..<top + height, columns: left..<left + width)
    }

    /// Cut from the latent with a margin of zeros.
    private func window(_ place: Region) -> Tensor {
        latent.padded(top: 40, left: 40, bottom: 40, right: 40).cropped(
            top: place.rows.lowerBound + 40,
            left: place.columns.lowerBound + 40,
            height: place.rows.count,
            width: place.columns.count
        )
    }

    private func cut(
        _ window: Tensor,
        at place: Region,
        _ sent: inout SentCells,
        as format: WireFormat = .f32
    ) throws -> (delta: LatentDelta, pixels: Tensor?) {
        let delta = sent.delta(of: window, at: place, as: format)
        return try #require(delta)
    }

    private func task(
        _ window: Tensor,
        _ delta: (LatentDelta, pixels: Tensor?)?,
        _ wire: WireFormat,
        packs: Bool = false
    ) -> CoordinatorMessage.Task {
        let view = WorkUnit.View(
            timestep: 500,
            guidance: 2,
            conditioning: [.init(embedding: Self.digest, timeIDs: [1, 2, 3, 4, 5, 6])]
        )
        let unit = WorkUnit(.predict(view), input: window)
        var task = CoordinatorMessage.Task(id: UnitID(7), job: 3, unit: unit, wire: wire)
        (task.packs, task.delta) = (packs, delta)
        return task
    }

    private static let digest = Embedding(context: Tensor([1, 2], shape: [1, 1, 2]), pooled: nil)
        .digest

    private func relayed(_ task: CoordinatorMessage.Task) throws -> RelayedTask {
        let frames = CoordinatorMessage.task(task).frames
        guard case .task(let relayed) = try RelayedMessage(frames: frames) else {
            throw FrameError.noBody
        }
        return relayed
    }

    /// The worker gets the frames that it would get without a relay.
    @Test(arguments: [WireFormat.f32, .f16], [true, false])
    func tasksAreWholeAgain(wire: WireFormat, packs: Bool) throws {
        var (sent, kept) = (SentCells(), KeptCells())
        var random = SplitMix(5)
        for _ in 0..<60 {
            let (height, width) = (Int(random.next() % 30) + 1, Int(random.next() % 30) + 1)
            let place = region(
                Int(random.next() % 50) - 10,
                Int(random.next() % 50) - 10,
                height,
                width
            )
            let window = window(place)
            let delta = try cut(window, at: place, &sent, as: wire)
            let relayed = try relayed(task(window, delta, wire, packs: packs))
            kept.keep(relayed.delta, relayed.pixels)
            let whole = try #require(try kept.latent(relayed.delta, relayed.pixels))
            let expected = CoordinatorMessage.task(task(window, nil, wire, packs: packs)).frames
            #expect(relayed.frames(whole) == expected)
        }
    }

    @Test func whatWasSentIsNotSentAgain() throws {
        var sent = SentCells()
        func pixels(_ place: Region) throws -> Int {
            let delta = try cut(window(place), at: place, &sent)
            return delta.pixels?.shape[2] ?? 0
        }
        #expect(try pixels(region(0, 0, 32, 32)) == 32 * 32)
        #expect(try pixels(region(0, 0, 32, 32)) == 0)
        // Half of it is new.
        #expect(try pixels(region(0, 16, 32, 32)) == 16 * 32)
        // Rows and columns at the window's edges belong to no whole cell: 24 of 32 are in one.
        #expect(try pixels(region(4, 4, 32, 32)) == 32 * 32 - 24 * 24)
        #expect(try pixels(region(0, 0, 32, 32)) == 0)
        sent.forget()
        #expect(try pixels(region(0, 0, 32, 32)) == 32 * 32)
    }

    /// Windows at the same place with other numbers are sent: cells are identified by their content.
    @Test func otherNumbersAreSent() throws {
        var (sent, kept) = (SentCells(), KeptCells())
        let place = region(8, 8, 16, 16)
        for factor in [1, 0.5, 1] as [Float] {
            let window = window(place) * factor
            let (delta, pixels) = try cut(window, at: place, &sent)
            kept.keep(delta, pixels)
            #expect(try kept.latent(delta, pixels)?.values == window.values)
        }
    }

    /// Numbers that were rounded for sending are not mistaken for the original ones.
    @Test func otherFormatsAreSent() throws {
        var (sent, kept) = (SentCells(), KeptCells())
        let place = region(8, 8, 16, 16)
        let window = window(place)
        for format in [WireFormat.f16, .f32, .f16, .f32] {
            let delta = try cut(window, at: place, &sent, as: format)
            let relayed = try relayed(task(window, delta, format))
            kept.keep(relayed.delta, relayed.pixels)
            let whole = try #require(try kept.latent(relayed.delta, relayed.pixels))
            #expect(
                relayed.frames(whole) == CoordinatorMessage.task(task(window, nil, format)).frames
            )
        }
    }

    /// Another worker's connection may bring a cell later.
    @Test func aWindowWaitsForItsCells() throws {
        var (sent, kept) = (SentCells(), KeptCells())
        let (one, two) = (region(0, 0, 16, 16), region(0, 8, 16, 16))
        let first = try cut(window(one), at: one, &sent)
        let second = try cut(window(two), at: two, &sent)
        kept.keep(second.delta, second.pixels)
        #expect(try kept.latent(second.delta, second.pixels) == nil)
        kept.keep(first.delta, first.pixels)
        #expect(try kept.latent(second.delta, second.pixels)?.values == window(two).values)
    }

    /// A restarted coordinator counts from another number: old cells are not taken for its own.
    @Test func cellsOfAnotherCoordinatorAreNotUsed() throws {
        var kept = KeptCells()
        let place = region(0, 0, 16, 16)
        var old = SentCells()
        let first = try cut(window(place), at: place, &old)
        kept.keep(first.delta, first.pixels)
        var new = SentCells()
        let other = window(region(16, 16, 16, 16))
        _ = try cut(other, at: place, &new)
        let second = try cut(other, at: place, &new)
        #expect(try kept.latent(second.delta, second.pixels) == nil)
    }

    /// A relay keeps a bounded number of cells, and the coordinator refers only to those that it still has.
    @Test func oldCellsAreForgottenOnBothSides() throws {
        var (sent, kept) = (SentCells(), KeptCells())
        // Cells of 64 KiB.
        let channels = 256
        let place = region(0, 0, 32, 32)
        func window(_ number: Int) -> Tensor {
            Tensor(
                (0..<32 * 32 * channels).map { Float($0 + number) },
                shape: [1, 32, 32, channels]
            )
        }
        var lacking = 0
        for number in [1, 2] + Array(3..<140) + [1, 139] {
            let (delta, pixels) = try cut(window(number), at: place, &sent)
            kept.keep(delta, pixels)
            if pixels != nil { lacking += 1 }
            #expect(try kept.latent(delta, pixels)?.values == window(number).values)
        }
        // The first was forgotten, the last was not.
        #expect(lacking == 140)
    }

    @Test func windowsThatAreTooLargeAreSentWhole() {
        var sent = SentCells()
        let place = region(0, 0, 160, 160)
        #expect(sent.delta(of: Tensor(zeros: [1, 160, 160, 400]), at: place, as: .f32) == nil)
    }

    @Test func cellsOfOtherChannelsAreRefused() throws {
        var (sent, kept) = (SentCells(), KeptCells())
        let place = region(0, 0, 16, 16)
        let (delta, pixels) = try cut(window(place), at: place, &sent)
        kept.keep(delta, pixels)
        let wrong = LatentDelta(
            grid: CellGrid(height: 17, width: 16, top: 0, left: 0),
            cells: delta.cells,
            new: delta.new.upperBound..<delta.new.upperBound
        )
        #expect(throws: FrameError.self) {
            try kept.latent(wrong, Tensor(zeros: [1, 1, 16, 9]))
        }
    }

    /// A worker does not accept a delta in place of a whole latent.
    @Test func workersRefuseThem() throws {
        var sent = SentCells()
        let place = region(3, 3, 16, 16)
        let frames = CoordinatorMessage.task(
            task(window(place), sent.delta(of: window(place), at: place, as: .f32), .f32)
        ).frames
        #expect(throws: FrameError.field("task.delta: it is for a relay")) {
            try CoordinatorMessage(frames: frames)
        }
    }

    /// Whatever is damaged or wrong in a delta, the result is an error or a complete task.
    @Test func damageIsNoticed() throws {
        var (sent, kept) = (SentCells(), KeptCells())
        let place = region(3, 3, 20, 20)
        let window = window(place)
        let frames = CoordinatorMessage.task(
            task(window, sent.delta(of: window, at: place, as: .f32), .f32)
        ).frames
        var random = SplitMix(9)
        for round in 0..<3000 {
            var damaged = frames
            for _ in 0...round % 3 {
                let frame = Int(random.next() % 2)
                let place = Int(random.next() % UInt64(damaged[frame].count))
                damaged[frame][place] = UInt8(truncatingIfNeeded: random.next())
            }
            guard case .task(let task)? = try? RelayedMessage(frames: damaged) else { continue }
            kept.keep(task.delta, task.pixels)
            if let latent = try? kept.latent(task.delta, task.pixels) {
                #expect(task.frames(latent).count == 2)
            }
        }
    }
}
