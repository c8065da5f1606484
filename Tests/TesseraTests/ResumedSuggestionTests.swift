import Engine
import Foundation
import TestSupport
import Testing

/// A package update may change a model's `tessera.json` while jobs are interrupted.
@Suite(.serialized) struct ResumedSuggestionTests {
    @Test(arguments: [[], ["--count", "2"]])
    func aJobGoesOnWithItsSuggestions(more: [String]) throws {
        try inTemporaryFolder { folder in
            let model = "\(folder)/model"
            try FileManager.default.copyItem(
                atPath: try #require(Fixtures.networks.first?.checkpoint),
                toPath: model
            )
            let file = "\(model)/tessera.json"
            func suggest(_ guidance: Int) throws {
                try "{\"guidance\": \(guidance), \"negative-prompt\": \"rain\"}".write(
                    toFile: file,
                    atomically: true,
                    encoding: .utf8
                )
            }
            try suggest(3)
            let job = "\(folder)/job"
            let running = try Command.Running(
                [
                    "render", "--prompt", "a lake", "--model", model, "--size", "128x128",
                    "--steps", "60", "--output", "\(folder)/{index}.png", "--job-dir", job,
                ] + more
            )
            let place = more.isEmpty ? job : "\(job)/1"
            let end = ContinuousClock.now + .seconds(60)
            while FileKind("\(place)/state.safetensors") == nil, ContinuousClock.now < end {
                Thread.sleep(forTimeInterval: 0.005)
            }
            kill(running.process.processIdentifier, SIGINT)
            let stopped = running.finish()
            #expect(stopped.status == 130, "\(stopped.errors)")
            try suggest(5)
            let resumed = try Command(["resume", place])
            #expect(resumed.status == 0, "\(resumed.errors)")
            for index in 1...(more.isEmpty ? 1 : 2) {
                let text = try PNGImage(file: "\(folder)/\(index).png").text["tessera"]
                let found = try JSON(try #require(text).utf8, place: "png").object
                #expect(found?["guidance"]?.number == 3)
                #expect(found?["negative-prompt"]?.string == "rain")
            }
        }
    }
}
