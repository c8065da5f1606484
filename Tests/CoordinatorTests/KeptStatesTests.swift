import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// States of a render to go back to: how many are in memory and on disk, and which stay when neither has room.
@Suite struct KeptStatesTests {
    /// A latent of 1 KiB whose values are the number of the next step.
    private func state(_ step: Int) -> Checkpoint {
        let latent = Tensor([Float](repeating: Float(step), count: 256), shape: [1, 8, 8, 4])
        return Checkpoint(state: SamplerState(latent: latent), drawn: 0, finished: [])
    }

    private func read(_ path: String) throws -> Checkpoint {
        let latent = try SafeTensors(file: path).tensor("latent")
        return Checkpoint(state: SamplerState(latent: latent), drawn: 0, finished: [])
    }

    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder)
    }

    @Test func olderOnesAreInFiles() throws {
        try inTemporaryFolder { folder in
            var states = KeptStates(first: nil, latentBytes: 1024, folder: folder, maxBytes: 4096)
            for step in 1...20 { states.add(state(step), before: step, needed: 1) }
            #expect(states.counts.memory == 5 && states.counts.files == 16)
            let written = try files(folder)
            #expect(written.count == 16)
            let (step, found) = states.goBack(to: 7, reading: read)
            #expect(step == 7 && found?.state.latent.values.first == 7)
            // Later states are gone, on disk as well.
            let left = try files(folder)
            #expect(left.count == 7)
            let (start, first) = states.goBack(to: 0, reading: read)
            #expect(start == 0 && first == nil)
            let last = try files(folder)
            #expect(last.isEmpty)
        }
    }

    @Test func filesAreRemovedWithTheRender() throws {
        try inTemporaryFolder { folder in
            do {
                var states = KeptStates(first: nil, latentBytes: 1024, folder: folder, maxBytes: 0)
                for step in 1...5 { states.add(state(step), before: step, needed: 1) }
                let names4 = try files(folder)
                #expect(names4.count == 3)
            }
            let names5 = try files(folder)
            #expect(names5.isEmpty)
        }
    }

    /// A killed process leaves its files behind; the resumed render removes them, and nothing else.
    @Test func filesOfAProcessThatWasKilledAreRemoved() throws {
        try inTemporaryFolder { folder in
            for name in ["kept-1.safetensors", "job.json"] {
                _ = FileManager.default.createFile(atPath: "\(folder)/\(name)", contents: nil)
            }
            _ = KeptStates(first: nil, latentBytes: 1024, folder: folder)
            let names6 = try files(folder)
            #expect(names6 == ["job.json"])
        }
    }

    /// Without a disk, the oldest states are dropped; the start and the two newest stay.
    @Test(arguments: [nil, "/nowhere/at/all"]) func withoutRoomTheyAreDropped(folder: String?) {
        var states = KeptStates(first: nil, latentBytes: 1024, folder: folder, maxBytes: 3000)
        for step in 1...20 {
            states.add(state(step), before: step, needed: 1)
            #expect(states.counts.memory <= 4 && states.counts.files == 0)
        }
        let (newest, _) = states.goBack(to: 19, reading: read)
        #expect(newest == 19)
        let (start, first) = states.goBack(to: 10, reading: read)
        #expect(start == 0 && first == nil)
    }

    @Test func aFileThatCannotBeReadIsPassedOver() throws {
        try inTemporaryFolder { folder in
            var states = KeptStates(first: nil, latentBytes: 1024, folder: folder, maxBytes: 0)
            for step in 1...9 { states.add(state(step), before: step, needed: 1) }
            var tries = 0
            let (step, found) = states.goBack(to: 6) { path in
                tries += 1
                guard tries > 2 else { throw InputError(path, "it is damaged", fix: "Start over") }
                return try read(path)
            }
            #expect(step == 4 && found?.state.latent.values.first == 4)
        }
    }
}
