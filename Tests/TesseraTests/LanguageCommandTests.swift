import Engine
import Foundation
import TestSupport
import Testing

/// The prompt language, textual inversions and LoRA tags on the command line.
@Suite struct LanguageCommandTests {
    private static let fixtures = SingleFileLayout.ownFixtures
    private let model = "\(fixtures)/sd15-tiny"
    private let lora = "\(fixtures)/adapters/sd15-loha.safetensors"

    private func flags(_ folder: String, _ prompt: String, _ more: [String]) -> [String] {
        [
            "render", "--model", model, "--prompt", prompt, "--size", "128x128", "--steps", "3",
            "--workers", "1", "--output", "\(folder)/out.png",
        ] + more
    }

    /// Renders, and returns the pixels, the messages and the picture's text.
    private func render(
        _ prompt: String,
        _ more: [String] = [],
        in folder: String
    ) throws -> (picture: [Float], errors: String, text: [String: String]) {
        let dump = "\(folder)/dump.safetensors"
        let command = try Command(flags(folder, prompt, more + ["--dump", dump]))
        #expect(command.status == 0, "\(command.errors)")
        return (
            try SafeTensors(file: dump).tensor("image").values, command.errors,
            try PNGImage(file: "\(folder)/out.png").text
        )
    }

    @Test func promptsChangeDuringTheSteps() throws {
        try inTemporaryFolder { folder in
            let a1111 = ["--prompt-syntax", "a1111"]
            let from = try render("a lake", in: folder).picture
            let to = try render("an old stone bridge", in: folder).picture
            func turning(_ when: String, _ more: [String] = []) throws -> [Float] {
                let prompt = "[a lake:an old stone bridge:\(when)]"
                return try render(prompt, a1111 + more, in: folder).picture
            }
            #expect(try turning("0") == to && turning("3") == from)
            let middle = try turning("1")
            #expect(middle != from && middle != to)
            #expect(try turning("0.4") == middle)
            // The same with another number of workers, and when they render phase 1.
            let workers = ["--global-pass", "workers"]
            #expect(try turning("1", workers + ["--workers", "2"]) == turning("1", workers))
            // Taken literally, the prompt is a different one, and a message says so.
            let plain = try render("[a lake:an old stone bridge:1]", in: folder)
            #expect(plain.picture != middle)
            #expect(plain.errors.contains("--prompt-syntax a1111 gives it a meaning"))
            let weighted = try render("a (lake:1.4)", a1111, in: folder)
            #expect(weighted.text["tessera"]?.contains("\"prompt-syntax\":\"a1111\"") == true)
            #expect(!weighted.errors.contains("gives it a meaning"))
            let skipped = try render("a lake", ["--clip-skip", "2"], in: folder)
            #expect(skipped.picture != from)
            #expect(skipped.text["parameters"]?.contains("Clip skip: 2") == true)
        }
    }

    @Test func tagsNameLoRAs() throws {
        try inTemporaryFolder { folder in
            let below = "\(folder)/loras/below"
            try FileManager.default.createDirectory(
                atPath: below,
                withIntermediateDirectories: true
            )
            try FileManager.default.copyItem(atPath: lora, toPath: "\(below)/my one.safetensors")
            let a1111 = ["--prompt-syntax", "a1111", "--lora-dir", "\(folder)/loras"]
            let given = try render(
                "a lake",
                ["--lora", "\(lora):0.5:unet=0.75"],
                in: folder
            ).picture
            #expect(try render("a lake<lora:my one:0.5:0.75>", a1111, in: folder).picture == given)
            #expect(try render("a lake", in: folder).picture != given)
            let refused: [(String, [String], String)] = [
                ("a", ["--clip-skip", "4"], "--clip-skip 4"),
                ("a", ["--prompt-2", "b"], "--prompt-2"),
                ("a <lora:none:1>", a1111, "no none.safetensors"),
                ("a <lora:my one:x>", a1111, "<lora:my one:x>"),
                ("a <hypernet:x:1>", a1111, "<hypernet:x:1>"),
                ("a <lora:my one:1>", Array(a1111.prefix(2)), "--lora-dir"),
                ("a", a1111 + ["--negative-prompt", "<lora:my one:1>"], "--negative-prompt"),
            ]
            for (prompt, more, part) in refused {
                let command = try Command(["plan"] + flags(folder, prompt, more).dropFirst())
                #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
                #expect(command.complaints.first?.contains(part) == true, "\(command.errors)")
            }
        }
    }

    /// A coordinator's workers are told which LoRAs its prompt names, with the weights of parts.
    @Test func workersAreToldOfTags() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/one.safetensors"
            try FileManager.default.copyItem(atPath: lora, toPath: path)
            let socket = "ipc://\(folder)/socket"
            let coordinator = try Command.Running(
                ["coordinator"]
                    + flags(
                        folder,
                        "a lake <lora:one:0.5:0.75>",
                        [
                            "--prompt-syntax", "a1111", "--lora-dir", folder, "--bind", socket,
                        ]
                    ).dropFirst().filter { !["--workers", "1"].contains($0) }
            )
            let needed = "--lora \(path):0.5:unet=0.75"
            #expect(coordinator.waitFor("started with \(needed)"), "\(coordinator.errorsSoFar)")
            let worker = ["worker", "--model", model, "--connect", socket, "--threads", "1"]
            let refused = try Command(worker)
            #expect(refused.status == 64, "\(refused.errors)")
            // The error says what differs, and gives one path.
            #expect(refused.errors.contains("with other weights or LoRAs"), "\(refused.errors)")
            #expect(refused.errors.contains("start it with \(needed)"), "\(refused.errors)")
            let right = try Command.Running(worker + ["--lora", "\(path):0.5:unet=0.75"])
            let done = coordinator.finish()
            #expect(done.status == 0, "\(done.errors)")
            kill(right.process.processIdentifier, SIGTERM)
            _ = right.finish()
        }
    }

    @Test func embeddingsStandForWords() throws {
        try inTemporaryFolder { folder in
            let file = "\(Self.fixtures)/language/sd15-two.safetensors"
            let plain = try render("a lake", in: folder).picture
            let used = try render("a mine lake", ["--embedding", "\(file):mine"], in: folder)
            #expect(used.picture != plain)
            #expect(try render("a mine lake", in: folder).picture != used.picture)
            #expect(used.text["tessera"]?.contains("\"embedding\":[\"mine:") == true)
            let unused = try render("a lake", ["--embedding", "\(file):mine"], in: folder)
            #expect(unused.picture == plain && unused.errors.contains("'mine'"))
            let inspected = try Command(["inspect", model, "--embedding", "\(file):mine"])
            #expect(inspected.status == 0)
            #expect(inspected.output.contains("'mine': 2 vectors of 32"), "\(inspected.output)")
            let other = "\(Self.fixtures)/language/sdxl-two.safetensors"
            for command in ["render", "plan"] {
                let more = ["--embedding", other]
                let refused = try Command([command] + flags(folder, "a", more).dropFirst())
                #expect(refused.status == 64 && refused.complaints.count == 1)
                #expect(refused.complaints.first?.contains(other) == true, "\(refused.errors)")
            }
            let refused = try Command(["inspect", model, "--embedding", other])
            #expect(refused.status == 64 && refused.errors.contains(other), "\(refused.errors)")
        }
    }
}
