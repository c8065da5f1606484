import Engine
import Foundation
import Tessera
import TestSupport
import Testing

/// Flag defaults from the user's configuration file.
@Suite struct ConfigFileTests {
    private struct Dump: Decodable { let command: CommandDescription }

    /// All commands, as the program describes them.
    private static let root = Result {
        let text = try Command(["--experimental-dump-help"]).output
        return try JSONDecoder().decode(Dump.self, from: Data(text.utf8)).command
    }

    private func prepared(
        _ words: [String],
        _ yaml: String,
        _ environment: [String: String] = [:]
    ) throws -> PreparedArguments {
        let root = try Self.root.get()
        let file = try ConfigFile(yaml: yaml, place: "config.yaml", root: root)
        return try PreparedArguments(words, environment: environment, file: file, root: root)
    }

    private func defaults(
        _ words: [String],
        _ yaml: String,
        _ environment: [String: String] = [:]
    ) throws -> [String] {
        let prepared = try prepared(words, yaml, environment)
        return Array(prepared.words.drop { !$0.hasPrefix("--") }.prefix(prepared.defaultCount))
    }

    @Test func flagsOverrideVariablesAndVariablesTheFile() throws {
        let yaml = "steps: 30"
        #expect(try defaults(["render"], yaml) == ["--steps=30"])
        #expect(try defaults(["render"], yaml, ["TESSERA_STEPS": "20"]) == ["--steps=20"])
        #expect(try defaults(["render", "--steps", "10"], yaml) == [])
        #expect(try defaults(["resume"], yaml) == [])
        #expect(try defaults(["doctor"], yaml) == [])
        #expect(try defaults(["render", "--help"], yaml) == [])
    }

    @Test func aSectionIsForItsCommand() throws {
        let yaml = "steps: 30\nrender: {steps: 40}\ncluster up:\n    min-workers: 4\n"
        #expect(try defaults(["render"], yaml) == ["--steps=40"])
        #expect(try defaults(["plan"], yaml) == ["--steps=30"])
        #expect(try defaults(["cluster", "up"], yaml) == ["--min-workers=4"])
        #expect(try defaults(["render", "--cluster", "x"], yaml) == ["--steps=40"])
    }

    @Test func valuesAreWrittenAsBehindFlags() throws {
        let yaml = """
            guidance: 7.50
            karras: no
            lora: [a.safetensors, b.safetensors:0.5]
            cosine-scales: [3, 1, 1]
            seed:
            """
        let found = try defaults(["render"], yaml)
        #expect(found.contains("--guidance=7.50") && found.contains("--no-karras"), "\(found)")
        #expect(found.filter { $0.hasPrefix("--lora=") }.count == 2, "\(found)")
        #expect(found.contains("--cosine-scales=3,1,1"), "\(found)")
        #expect(!found.contains { $0.hasPrefix("--seed") }, "\(found)")
        let home = try defaults(["render"], "model: ~/sdxl")
        #expect(home == ["--model=\(UserFolder.expanded("~/sdxl"))"] && home != ["--model=~/sdxl"])
    }

    @Test func companionsAndMethodsHoldForItToo() throws {
        #expect(try defaults(["render"], "strength: 0.5") == [])
        #expect(
            try defaults(["render"], "strength: 0.5\ninit-image: x.png").sorted()
                == ["--init-image=x.png", "--strength=0.5"]
        )
        #expect(try defaults(["render", "--method", "refine"], "sigma: 0.7") == [])
        #expect(try defaults(["render", "--preset", "draft"], "sigma: 0.7\nstride: 9") == [])
        #expect(try defaults(["render", "--method", "demofusion"], "preset: fine") == [])
        #expect(try defaults(["render"], "preset: fine\nsigma: 0.7") == ["--preset=fine"])
    }

    @Test(arguments: [
        ("stepz: 3", "config.yaml:1: stepz", "mean steps?"),
        ("steps: 3\ninsecure: true", "config.yaml:2: insecure", "no flag"),
        ("render: {hosts: 3}", "config.yaml:1: hosts", "no flag"),
        ("rendr:\n  steps: 3", "config.yaml:1: rendr", "no such command"),
        ("resume: {last: true}", "config.yaml:1: last", "no flag"),
        ("steps: {a: {b: 1}}", "config.yaml:1: steps", "no such command"),
        ("lora: [[a]]", "config.yaml:1: lora", "a value or a list"),
        ("- steps", "config.yaml:1", "not a mapping"),
        ("steps: 3\nsteps: 4", "config.yaml:1: steps", "duplicated"),
        ("steps: [", "config.yaml", "not YAML"),
    ])
    func mistakesNameTheirLine(yaml: String, place: String, part: String) throws {
        let error = #expect(throws: InputError.self) { try prepared(["render"], yaml) }
        let line = error?.description ?? ""
        #expect(line.hasPrefix("\(place)"), "\(line)")
        #expect(line.contains(part), "\(line)")
    }

    /// Through the program: errors name the file and the line, and help works whatever the file contains.
    @Test func theProgramReadsIt() throws {
        try inTemporaryFolder { folder in
            func run(_ yaml: String, _ words: [String]) throws -> Command {
                let file = "\(folder)/tessera/config.yaml"
                try FileManager.default.createDirectory(
                    atPath: "\(folder)/tessera",
                    withIntermediateDirectories: true
                )
                try yaml.write(toFile: file, atomically: true, encoding: .utf8)
                return try Command(words, environment: ["XDG_CONFIG_HOME": folder])
            }
            let plan = ["plan", "--prompt", "x", "--model", "\(Fixtures.folder)/sd15-tiny"]
            let steps = try run("steps: 7\nmethod: demofusion", plan)
            #expect(try steps.row("steps per phase") == ["7"], "\(steps.errors)")
            let wrong = try run("steps: many", plan)
            #expect(wrong.status == 64)
            #expect(wrong.errors.contains("tessera/config.yaml:1"), "\(wrong.errors)")
            let unknown = try run("stepz: 7", plan)
            #expect(
                unknown.status == 64 && unknown.errors.contains("mean steps?"),
                "\(unknown.errors)"
            )
            #expect(try run("stepz: 7", ["plan", "--help"]).status == 0)
        }
    }
}
