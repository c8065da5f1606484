import Engine
import Foundation
import Tessera
import TestSupport
import Testing

/// Defaults from the environment: `TESSERA_STEPS=30`.
@Suite struct EnvironmentTests {
    private struct Dump: Decodable { let command: CommandDescription }

    /// All commands, as the program describes them.
    private static let root = Result {
        let text = try Command(["--experimental-dump-help"]).output
        return try JSONDecoder().decode(Dump.self, from: Data(text.utf8)).command
    }

    private func prepared(
        _ words: [String],
        _ environment: [String: String]
    ) throws -> PreparedArguments {
        try PreparedArguments(words, environment: environment, root: try Self.root.get())
    }

    /// A variable whose flag means nothing without another flag counts only when that flag is given, too.
    @Test(arguments: [
        ("TESSERA_ONLY", "cave", "--cluster"), ("TESSERA_MIN_WORKERS", "2", "--cluster"),
        ("TESSERA_WAIT", "1", "--cluster"), ("TESSERA_STRENGTH", "0.5", "--init-image"),
        ("TESSERA_FIDELITY", "0.5", "--init-image"),
        ("TESSERA_MAX_INIT_PIXELS", "9", "--init-image"),
    ])
    func aVariableNeedsItsCompanion(variable: String, value: String, flag: String) throws {
        let environment = [variable: value]
        for command in ["render", "plan"] {
            let without = try prepared([command, "--prompt", "x"], environment)
            #expect(without.words == [command, "--prompt", "x"] && without.variables.isEmpty)
            let beside = try prepared([command, flag, "x"], environment)
            #expect(beside.words.count == 4 && beside.variables.values.contains(variable))
            let name = "TESSERA_" + flag.dropFirst(2).uppercased().replacing("-", with: "_")
            let both = environment.merging([name: "x"]) { $1 }
            #expect(try prepared([command], both).words.count == 3)
        }
        // This command has a default cluster file.
        if ["TESSERA_ONLY", "TESSERA_MIN_WORKERS"].contains(variable) {
            #expect(try prepared(["cluster", "up"], environment).words.count == 3)
        }
    }

    /// A variable for a setting that the chosen method does not use is ignored, too.
    @Test func aVariableOfTheOtherMethodDoesNotCount() throws {
        let environment = ["TESSERA_REFINE_STEPS": "2", "TESSERA_SKIP_BELOW": "0.1"]
        func defaults(_ words: [String], _ more: [String: String] = [:]) throws -> [String] {
            let all = environment.merging(more) { $1 }
            let prepared = try prepared(["render"] + words, all)
            return Array(prepared.words.dropFirst().prefix(prepared.defaultCount))
                .filter { !$0.hasPrefix("--method") }
        }
        #expect(try defaults(["--method", "refine"]) == ["--refine-steps=2"])
        #expect(try defaults(["--method=demofusion"]) == ["--skip-below=0.1"])
        #expect(try defaults([], ["TESSERA_METHOD": "refine"]) == ["--refine-steps=2"])
        // A model may suggest either method.
        #expect(Set(try defaults([])) == ["--refine-steps=2", "--skip-below=0.1"])
    }

    /// A flag that has a `--no-` form can be turned off by a variable.
    @Test func noIsSaidToAFlagThatCanBeDenied() throws {
        func words(_ value: String, _ given: [String] = []) throws -> [String] {
            Array(try prepared(["render"] + given, ["TESSERA_KARRAS": value]).words.dropFirst())
        }
        #expect(try words("1") == ["--karras"])
        #expect(try words("0") == ["--no-karras"])
        #expect(try words("1", ["--no-karras"]) == ["--no-karras"])
        #expect(try words("0", ["--karras"]) == ["--karras"])
        // Other flags are off by default.
        #expect(try prepared(["render"], ["TESSERA_SGM_UNIFORM": "0"]).words == ["render"])
    }

    /// These are exactly the flags that the help shows with a `--no-` form.
    @Test func deniableFlagsAreKnown() throws {
        for command in ["render", "plan", "coordinator"] {
            let help = try Command([command, "--help"]).output
            let found = help.matches(of: /--([a-z-]+)\/--no-/).map { String($0.1) }
            #expect(found == InvertibleFlags.names.sorted())
        }
    }

    /// Help does not depend on the environment.
    @Test(arguments: [
        ["render", "--help"], ["render", "-h"], ["plan", "--steps", "3", "--help"],
    ])
    func helpAlwaysWorks(words: [String]) throws {
        let environment = ["TESSERA_KARRAS": "maybe", "TESSERA_STEPS": "many"]
        #expect(try prepared(words, environment).words == words)
        let help = try Command(words, environment: environment)
        #expect(help.status == 0 && help.output.contains("USAGE"), "\(help.errors)")
        // After `--`, it is an ordinary word.
        #expect(throws: InputError.self) { try prepared(["render", "--", "-h"], environment) }
    }

    /// An error about a value from a variable names the variable.
    @Test func errorsNameTheVariable() throws {
        let words = try prepared(
            ["render", "--guidance", "3"],
            [
                "TESSERA_STEPS": "-5", "TESSERA_MODEL": "/m", "TESSERA_LORA": "a.safetensors:0.5",
                "TESSERA_GUIDANCE": "9", "TESSERA_STRIDE": "window", "TESSERA_WORKERS": "0",
            ]
        )
        func place(_ place: String) -> String {
            let error = words.naming(InputError(place, "it is wrong", fix: "Mend it"))
            #expect(error.problem == "it is wrong" && error.remedy == "Mend it")
            return error.place
        }
        #expect(place("--steps") == "--steps (from TESSERA_STEPS)")
        #expect(place("--stride window") == "--stride (from TESSERA_STRIDE) window")
        #expect(place("/m/unet/config.json") == "/m/unet/config.json (from TESSERA_MODEL)")
        #expect(place("/m") == "/m (from TESSERA_MODEL)")
        #expect(place("a.safetensors") == "a.safetensors (from TESSERA_LORA)")
        #expect(place("a.safetensors:0.5") == "a.safetensors:0.5 (from TESSERA_LORA)")
        for other in ["--guidance", "--steps-more", "/models", "a.safetensors2", "m", "--size"] {
            #expect(place(other) == other)
        }
        let usage = "--workers must be from 1 to 256."
        #expect(words.naming(usage) == "--workers (from TESSERA_WORKERS) must be from 1 to 256.")
        #expect(words.naming("Unknown option '--x'.") == "Unknown option '--x'.")
    }

    /// The same, with the real program.
    @Test(arguments: [
        ("TESSERA_STEPS", "-5"), ("TESSERA_MODEL", "/nowhere"),
        ("TESSERA_LORA", "/nowhere.safetensors"),
        ("TESSERA_CLUSTER", "/nowhere.yaml"), ("TESSERA_WORKERS", "0"),
    ])
    func theProgramNamesTheVariable(variable: String, value: String) throws {
        let wrong = try Command(["plan", "--prompt", "x"], environment: [variable: value])
        #expect(wrong.status == 64 && wrong.complaints.count == 1, "\(wrong.errors)")
        #expect(wrong.errors.contains("(from \(variable))"), "\(wrong.errors)")
    }

    /// Variables that only matter with hosts do not break a render without hosts.
    @Test func variablesForHostsDoNotEndOtherRenders() throws {
        let plan = try Command(
            ["plan", "--prompt", "x", "--size", "512x512"],
            environment: [
                "TESSERA_MIN_WORKERS": "2", "TESSERA_ONLY": "cave", "TESSERA_WAIT": "1",
                "TESSERA_STRENGTH": "0.5",
            ]
        )
        #expect(plan.status == 0, "\(plan.errors)")
    }
}
