import Engine
import Foundation
import TestSupport
import Testing

/// Several pictures from one command.
@Suite struct SeriesCommandTests {
    private static let model = "\(Fixtures.packageRoot)/Tests/Fixtures/sd15-tiny"

    private func flags(_ more: [String]) -> [String] {
        [
            "--model", Self.model, "--size", "64x64", "--steps", "2", "--workers", "1",
            "--threads-per-worker", "1",
        ] + more
    }

    private func bytes(_ path: String) -> Data? { FileManager.default.contents(atPath: path) }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Every picture is the same as from a command of its own.
    @Test func aSeriesIsTheSamePictures() throws {
        try inTemporaryFolder { folder in
            let series = try Command(
                ["render"]
                    + flags([
                        "--prompt", "a lake", "--seed", "7", "--count", "2", "--output",
                        "\(folder)/{seed}.png",
                    ])
            )
            #expect(series.status == 0, "\(series.errors)")
            #expect(series.output == "\(folder)/7.png\n\(folder)/8.png\n")
            for seed in ["7", "8"] {
                let one = try Command(
                    ["render"]
                        + flags([
                            "--prompt", "a lake", "--seed", seed, "--output", "\(folder)/one.png",
                        ])
                )
                #expect(one.status == 0)
                let same = bytes("\(folder)/one.png")
                #expect(same != nil && same == bytes("\(folder)/\(seed).png"))
            }
            // No existing file is replaced.
            let more = [
                "--prompt", "a lake", "--seeds", "8,7", "--output", "\(folder)/{seed}.png",
                "--json",
            ]
            let again = try Command(["render"] + flags(more))
            let lines = again.output.split(separator: "\n")
            #expect(lines.count == 2, "\(again.output) \(again.errors)")
            let results = try lines.map { try #require(JSON($0.utf8, place: "json").object) }
            #expect(results.map { $0["seed"]?.string } == ["8", "7"])
            #expect(results.map { $0["index"]?.integer } == [1, 2])
            #expect(
                results.map { $0["picture"]?.string } == ["8", "7"].map { "\(folder)/\($0)-2.png" }
            )
            // The plan of the series gives its total cost.
            let plan = try Command(["plan"] + flags(more))
            let planned = try JSON(plan.output.utf8, place: "plan").object
            let calls = results.compactMap { $0["unet_calls"]?.integer }.reduce(0, +)
            #expect(planned?["pictures"]?.integer == 2 && planned?["unet_calls"]?.integer == calls)
        }
    }

    @Test func linesOfAFileOverrideFlags() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            try write(
                """
                \u{FEFF}# a comment

                a plain lake
                --prompt "a \\"quoted\\" house" --negative_prompt dull, grey --seed 5 --steps 3 --cfg_scale 4
                --prompt a bridge of stone --width 128 --height 64 --sampler_name "Euler a" --n_iter 2 --tiling false
                --steps 4 --guidance=2 --scheduler euler --karras true
                """,
                file
            )
            let plan = try Command(
                ["plan"]
                    + flags(["--prompts", file, "--prompt", "the default", "--seed", "9", "--json"])
            )
            #expect(plan.status == 0, "\(plan.errors)")
            let report = try #require(JSON(plan.output.utf8, place: "plan").object)
            #expect(report["pictures"]?.integer == 5)
            let groups = (report["groups"]?.array ?? []).compactMap(\.object)
            #expect(
                groups.map { $0["prompt"]?.string } == [
                    "a plain lake", "a \"quoted\" house", "a bridge of stone", "the default",
                ]
            )
            #expect(groups.map { $0["seed"]?.string } == ["9", "5", "9", "9"])
            #expect(groups.map { $0["pictures"]?.integer } == [1, 1, 2, 1])
            let plans = groups.compactMap { $0["plan"]?.object }
            #expect(plans.map { $0["width"]?.integer } == [64, 64, 128, 64])
            #expect(plans.map { $0["steps_per_phase"]?.integer } == [2, 3, 2, 4])
            let render = try Command(["render"] + flags(["--prompts", file]), in: folder)
            #expect(
                render.status == 64 && render.complaints.first?.contains("\(file):6") == true,
                "\(render.errors)"
            )
        }
    }

    /// A mistake in a file is reported with its line before anything is rendered.
    @Test(arguments: [
        ("a\n--prompt b --stepz 4", ":2, --stepz", "--steps"),
        ("--=", ":1, --", "known flag"), ("--prompt= b", ":1", "'b' is not a flag"),
        ("--prompt a --n_iter 200 --batch_size 51", ":1, --batch_size", "10200"),
        ("--prompt b --steps many", ":1", "steps"),
        ("--prompt b --steps 0", ":1, --steps", "out of range"),
        ("--prompt b --steps", ":1, --steps", "missing"),
        ("--prompt \"b", ":1", "quotation"),
        ("a cat --steps 4", ":1, --steps", "--prompt"),
        ("--prompt b --width 64", ":1", "--height"),
        ("--prompt b --workers 3", ":1, --workers", "same for all"),
        ("--prompt b --restore_faces true", ":1, --restore_faces", "not supported"),
        ("--prompt b --count 2", ":1, --count", "same for all"),
        ("# nothing\n", "", "no prompt"),
        ("a\n--prompt b --output {x}.png", ":2", "{x}"),
    ])
    func aLineIsRefusedByItsNumber(text: String, place: String, part: String) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            try write(text, file)
            for command in ["plan", "render"] {
                let refused = try Command([command] + flags(["--prompts", file]), in: folder)
                #expect(refused.status == 64 && refused.complaints.count == 1, "\(refused.errors)")
                #expect(
                    refused.complaints.first?.contains(file + place) == true,
                    "\(refused.errors)"
                )
                #expect(refused.complaints.first?.contains(part) == true, "\(refused.errors)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["prompts.txt"])
        }
    }

    @Test(arguments: [
        (["--count", "0"], "--count"), (["--count", "2", "--seeds", "1"], "--seeds"),
        (["--seeds", "1", "--seed", "2"], "--seeds"), (["--seeds", "x"], "--seeds"),
        (["--count", "2", "--dump", "x.safetensors"], "--dump"),
        (["--count", "2", "--save-phases", "x"], "--save-phases"),
        (["--wildcards", "/nowhere"], "--wildcards"),
        (["--prompts", "/nowhere.txt"], "/nowhere.txt"),
        (["--output", "{nothing}.png"], "{nothing}"),
    ])
    func flagsThatContradictAreRefused(more: [String], part: String) throws {
        let refused = try Command(["render"] + flags(["--prompt", "a"] + more))
        #expect(refused.status == 64 && refused.complaints.count == 1, "\(refused.errors)")
        #expect(refused.complaints.first?.contains(part) == true, "\(refused.errors)")
    }

    /// A picture that fails is named, and the others are rendered.
    @Test func aPictureThatFailsLosesNoOther() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            try write("good\nbad\nfine", file)
            // A file in the place of a folder.
            try write("", "\(folder)/bad")
            let more = ["--prompts", file, "--output", "\(folder)/{prompt}/x.png", "--json"]
            let series = try Command(["render"] + flags(more))
            #expect(series.status == 70, "\(series.errors)")
            let results = try series.output.split(separator: "\n")
                .map { try #require(JSON($0.utf8, place: "json").object) }
            #expect(results.map { $0["index"]?.integer } == [1, 2, 3])
            #expect(results.map { $0["error"] != nil } == [false, true, false])
            #expect(results[1]["status"]?.integer == 70)
            #expect(series.complaints.count == 2, "\(series.errors)")
            #expect(
                series.complaints.first?.contains("picture 2 of 3 (seed 0): \(folder)/bad") == true
            )
            #expect(
                series.complaints.last?.contains("1 of 3 pictures failed: picture 2 of 3") == true
            )
            for name in ["good", "fine"] { #expect(bytes("\(folder)/\(name)/x.png") != nil) }
        }
    }

    /// An interrupted series keeps finished pictures; when resumed, it continues with the picture in progress and the
    /// rest.
    @Test func anInterruptedSeriesIsContinued() throws {
        try inTemporaryFolder { folder in
            let state = ["XDG_STATE_HOME": "\(folder)/state"]
            let more = [
                "--prompt", "a lake", "--seeds", "3-5", "--output", "\(folder)/{index}.png",
                "--steps", "40", "--size", "128x128", "--checkpoint-every", "1",
            ]
            let running = try Command.Running(["render"] + flags(more), environment: state)
            #expect(running.waitFor("picture 2 of 3"))
            kill(running.process.processIdentifier, SIGINT)
            let first = running.finish()
            #expect(first.status == 130, "\(first.errors)")
            #expect(first.output == "\(folder)/1.png\n", "\(first.output)")
            #expect(first.errors.contains("2 pictures remain"), "\(first.errors)")
            let list = try Command(["resume", "--json"], environment: state)
            #expect(list.output.contains("\"picture\":2"), "\(list.output)")
            let rest = try Command(["resume", "--last"], environment: state)
            #expect(rest.status == 0, "\(rest.errors)")
            #expect(rest.output == "\(folder)/2.png\n\(folder)/3.png\n", "\(rest.output)")
            let whole = try Command(
                ["render"] + flags(more) + ["--output", "\(folder)/whole-{index}.png"]
            )
            #expect(whole.status == 0)
            for index in 1...3 {
                let picture = bytes("\(folder)/\(index).png")
                #expect(picture != nil && picture == bytes("\(folder)/whole-\(index).png"))
            }
            let none = try Command(["resume", "--json"], environment: state)
            #expect(none.output == "[]\n", "\(none.output)")
        }
    }

    /// When a series is killed between two pictures, with the first one finished and no job yet for the second, the
    /// rest is not lost and the first is not rendered again.
    @Test(arguments: [5, 40, 120])
    func aSeriesThatIsKilledBetweenTwoPicturesIsContinued(milliseconds: Int) throws {
        try inTemporaryFolder { folder in
            let state = ["XDG_STATE_HOME": "\(folder)/state"]
            let more = [
                "--prompt", "a lake", "--seeds", "3-5", "--output", "\(folder)/{index}.png",
                "--steps", "3", "--size", "128x128",
            ]
            let running = try Command.Running(["render"] + flags(more), environment: state)
            let end = ContinuousClock.now + .seconds(60)
            while bytes("\(folder)/1.png") == nil, ContinuousClock.now < end { usleep(500) }
            usleep(UInt32(1000 * milliseconds))
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.finish()
            let rest = try Command(["resume", "--last"], environment: state)
            #expect(rest.status == 0, "\(rest.errors)")
            for index in 1...3 { #expect(bytes("\(folder)/\(index).png") != nil, "\(index)") }
            #expect(rest.output.hasSuffix("\(folder)/3.png\n"), "\(rest.output)")
            let none = try Command(["resume", "--json"], environment: state)
            #expect(none.output == "[]\n", "\(none.output)")
        }
    }

    /// The seed determines the choice of wildcards, and the picture's text has the resulting prompt.
    @Test func wildcardsAreReplaced() throws {
        try inTemporaryFolder { folder in
            try write("red\nblue\ngreen\n", "\(folder)/colour.txt")
            let more = [
                "--prompt", "a __colour__ {lake|house}", "--wildcards", folder, "--seeds", "1-6",
                "--json",
            ]
            func prompts() throws -> [String] {
                let plan = try Command(["plan"] + flags(more))
                #expect(plan.status == 0, "\(plan.errors)")
                let groups = try JSON(plan.output.utf8, place: "plan").object?["groups"]?.array
                return (groups ?? []).compactMap { $0.object?["prompt"]?.string }
            }
            let first = try prompts()
            #expect(first.count == 6 && Set(first).count > 2)
            #expect(try prompts() == first)
            #expect(first.allSatisfy { !$0.contains("_") && !$0.contains("{") })
            let one = [
                "--prompt", "a __colour__ {lake|house}", "--wildcards", folder, "--seed", "4",
                "--output", "\(folder)/{prompt}.png",
            ]
            let render = try Command(["render"] + flags(one))
            #expect(render.status == 0, "\(render.errors)")
            let name = first[3].replacing(" ", with: "-")
            #expect(render.output == "\(folder)/\(name).png\n")
            let text = try PNGImage(file: "\(folder)/\(name).png").text["tessera"]
            #expect(text?.contains("\"prompt\":\"\(first[3])\"") == true)
        }
    }
}
