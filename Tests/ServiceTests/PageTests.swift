import Engine
import Foundation
import Sampling
import Service
import TestSupport
import Testing

/// Parts of the service that exist for the live page.
@Suite struct PageTests {
    private func entries(_ ids: [String]) -> [QueueMove.Entry] {
        // Places have gaps, since other users' jobs came in between.
        ids.enumerated().map { QueueMove.Entry(id: $1, place: Int64(10 + 3 * $0)) }
    }

    /// The order after a move. Expects that only the existing places are used.
    private func order(
        _ ids: [String],
        moving id: String,
        before target: String?
    ) -> [String]? {
        let old = entries(ids)
        guard let changed = QueueMove.move(id, before: target, in: old) else { return nil }
        var places = Dictionary(uniqueKeysWithValues: old.map { ($0.id, $0.place) })
        for entry in changed { places[entry.id] = entry.place }
        #expect(places.values.sorted() == old.map(\.place))
        return places.sorted { $0.value < $1.value }.map(\.key)
    }

    @Test func aJobMovesAmongTheOthers() {
        let ids = ["a", "b", "c", "d"]
        #expect(order(ids, moving: "d", before: "b") == ["a", "d", "b", "c"])
        #expect(order(ids, moving: "a", before: "d") == ["b", "c", "a", "d"])
        #expect(order(ids, moving: "b", before: nil) == ["a", "c", "d", "b"])
        #expect(order(ids, moving: "c", before: "c") == ids)
        #expect(order(ids, moving: "c", before: "d") == ids)
        #expect(order(ids, moving: "x", before: "a") == nil)
        #expect(order(ids, moving: "a", before: "x") == nil)
    }

    @Test func theQueueFollowsTheNewOrder() throws {
        try inTemporaryFolder { folder in
            let store = try JobStore(path: "\(folder)/jobs.sqlite")
            let jobs = try ["ann", "ben", "ann", "ann"].map { user in
                let draft = JobDraft(
                    user: user,
                    model: "tiny",
                    request: JobRequest(prompt: "a cat"),
                    width: 64,
                    height: 64,
                    steps: 1,
                    evaluations: 10
                )
                return try store.submit(draft, limits: ServiceLimits(), now: 0).job
            }
            // A job cannot be moved to another user's job.
            #expect(try store.move(jobs[3].id, before: jobs[1].id) == nil)
            #expect(try store.move(jobs[3].id, before: jobs[0].id)?.position == jobs[0].number)
            var taken: [String] = []
            while let job = try store.takeNext(loaded: nil, now: 1) {
                taken.append(job.id)
                _ = try store.ended(job.id, .done(bytes: 1), now: 2)
            }
            #expect(taken.filter { $0 != jobs[1].id } == [jobs[3], jobs[0], jobs[2]].map(\.id))
            #expect(try store.move(jobs[3].id, before: nil) == nil)
        }
    }

    @Test func aPyramidEndsInOneTile() {
        let plan = PyramidPlan(width: 1300, height: 700)
        #expect(
            plan.levels == [
                Extent(height: 175, width: 325), Extent(height: 350, width: 650),
                Extent(height: 700, width: 1300),
            ]
        )
        #expect(plan.tiles(ofLevel: 2) == Extent(height: 2, width: 3))
        #expect(plan.has(level: 2, row: 1, column: 2) && !plan.has(level: 2, row: 2, column: 0))
        #expect(!plan.has(level: 3, row: 0, column: 0) && !plan.has(level: 0, row: 0, column: -1))
        #expect(PyramidPlan(width: 512, height: 100).levels.count == 1)
        // Even the largest picture needs no more levels than a folder can easily hold.
        #expect(PyramidPlan(width: 65_536, height: 16_384).levels.count == 8)
    }

    @Test func halvingTakesTheMean() {
        let upper: [UInt8] = [10, 20, 30, 30, 40, 50, 7, 8, 9]
        let lower: [UInt8] = [20, 30, 40, 40, 50, 60, 9, 10, 11]
        #expect(PyramidWriter.halved(upper, lower, width: 3) == [25, 35, 45, 8, 9, 10])
    }

    @Test func theTilesShowThePicture() throws {
        try inTemporaryFolder { folder in
            // Red increases from left to right, green from top to bottom.
            let (width, height) = (700, 600)
            let writer = try PyramidWriter(
                PyramidPlan(width: width, height: height),
                folder: folder
            )
            for y in 0..<height {
                try writer.add(
                    (0..<width).flatMap { x in [UInt8(x * 255 / 699), UInt8(y * 255 / 599), 128] }
                )
            }
            func corner(_ name: String) throws -> (width: Int, height: Int, first: [Float]) {
                let file = try PictureFile("\(folder)/\(name)")
                var first: [Float] = []
                try file.rows { if first.isEmpty { first = Array($0.prefix(3)) } }
                return (file.width, file.height, first)
            }
            let small = try corner(PyramidPlan.name(level: 0, row: 0, column: 0))
            #expect(small.width == 350 && small.height == 300)
            let last = try corner(PyramidPlan.name(level: 1, row: 1, column: 1))
            #expect(last.width == 188 && last.height == 88)
            let expected: [Float] = [512.0 / 699, 512.0 / 599, 128.0 / 255]
            for (found, expected) in zip(last.first, expected) {
                #expect(abs(found - expected) < 0.04)
            }
        }
    }

    /// Every file that a script or the page names is part of the program.
    @Test func thePageIsWhole() throws {
        #expect(PageFiles.files["page.html"] != nil)
        for file in PageFiles.files.values {
            let text = String(decoding: file.bytes, as: UTF8.self)
            for match in text.matches(of: /from "\.\/([a-z.]+)"|(?:href|src)="page\/([a-z.]+)"/) {
                let name = String(match.1 ?? match.2 ?? "")
                #expect(PageFiles.files[name] != nil, "\(file.name) names \(name)")
            }
            // Nothing comes from other servers; the one address is the SVG namespace.
            let others = text.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!others.contains("http://") && !others.contains("https://"), "\(file.name)")
            #expect(!text.contains("innerHTML"), "\(file.name) could show text as markup")
        }
    }
}
