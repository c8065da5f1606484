import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// A model's suggestions alongside explicit choices, and from one run of a job to the next.
@Suite struct SuggestionTests {
    /// Runs `body` with a model that has this `tessera.json`.
    private func inModel<Result>(
        _ json: String?,
        _ body: (_ model: String) throws -> Result
    ) throws -> Result {
        try inTemporaryFolder { folder in
            let model = "\(folder)/model"
            try FileManager.default.copyItem(
                atPath: "\(Fixtures.folder)/sd15-tiny",
                toPath: model
            )
            try json?.write(toFile: "\(model)/tessera.json", atomically: true, encoding: .utf8)
            return try body(model)
        }
    }

    private func read(
        _ model: String,
        memory: SuggestionMemory = SuggestionMemory(),
        _ choose: (inout SettingChoices) -> Void = { _ in }
    ) throws -> RenderSession {
        var options = PictureOptions(prompt: "a lake", model: model)
        options.suggestions = memory
        choose(&options.settings)
        return try RenderSession(options)
    }

    struct Case: Sendable, CustomStringConvertible {
        let json: String
        let dropped: String
        let reason: String
        let choose: @Sendable (inout SettingChoices) -> Void

        init(
            _ json: String,
            drops dropped: String,
            _ reason: String,
            _ choose: @escaping @Sendable (inout SettingChoices) -> Void
        ) {
            (self.json, self.dropped, self.reason, self.choose) = (json, dropped, reason, choose)
        }

        var description: String { "\(json), \(reason)" }
    }

    private static func sampler(_ kind: SchedulerKind) -> @Sendable (inout SettingChoices) -> Void {
        { $0.set(Settings.scheduler, to: kind) }
    }

    static let conflicts = [
        Case("{\"karras\": true}", drops: "karras", "scheduler tcd", sampler(.tcd)),
        Case("{\"karras\": true}", drops: "karras", "scheduler pndm", sampler(.pndm)),
        Case("{\"scheduler\": \"euler\", \"karras\": true}", drops: "karras", "sigmas exponential")
        {
            $0.set(Settings.sigmas, to: .exponential)
        },
        // As `--scheduler euler_beta` does.
        Case("{\"karras\": true}", drops: "karras", "sigmas beta") {
            $0.set(Settings.scheduler, to: .euler)
            $0.set(Settings.sigmas, to: .beta)
        },
        Case(
            "{\"timestep-spacing\": \"trailing\"}",
            drops: "timestep-spacing",
            "scheduler lcm",
            sampler(.lcm)
        ),
        Case(
            "{\"scheduler\": \"euler\", \"timestep-spacing\": \"trailing\"}",
            drops: "timestep-spacing",
            "sgm-uniform true"
        ) { $0.set(Settings.sgmUniform, to: true) },
        Case(
            "{\"final-sigma\": \"sigma_min\"}",
            drops: "final-sigma",
            "scheduler euler_a",
            sampler(.eulerAncestral)
        ),
        Case("{\"scheduler\": \"tcd\", \"guidance\": 2}", drops: "scheduler", "sgm-uniform true") {
            $0.set(Settings.sgmUniform, to: true)
            $0.set(Settings.scheduler, to: .euler)
        },
        Case("{\"steps\": 900}", drops: "steps", "scheduler lcm", sampler(.lcm)),
        Case(
            "{\"scheduler\": \"euler\", \"timestep-spacing\": \"trailing\", \"karras\": true}",
            drops: "karras, timestep-spacing",
            "sgm-uniform true"
        ) { $0.set(Settings.sgmUniform, to: true) },
        Case("{\"window-weight\": \"gaussian\"}", drops: "window-weight", "stride window") {
            $0.set(Settings.stride, to: .window)
        },
        Case("{\"stride\": \"window\"}", drops: "stride", "method refine") {
            $0.set(Settings.method, to: .refine)
        },
        Case("{\"guidance\": 1}", drops: "guidance", "refine-guidance 2") {
            $0.set(Settings.method, to: .refine)
            $0.set(Settings.refineGuidance, to: 2)
        },
    ]

    /// Flags always win, and the line of suggestions says which ones do not count, and why.
    @Test(arguments: conflicts) func aSuggestionYieldsToAFlag(_ conflict: Case) throws {
        try inModel(conflict.json) { model in
            let session = try read(model, conflict.choose)
            let line = try #require(session.suggestion)
            // If nothing conflicts, nothing is said.
            guard !conflict.json.contains("tcd") else {
                #expect(!line.contains("; not"), "\(line)")
                return
            }
            let verb = conflict.dropped.contains(",") ? "they conflict" : "it conflicts"
            let end = "tessera.json; not \(conflict.dropped): \(verb) with \(conflict.reason)"
            #expect(line.hasSuffix(end), "\(line)")
            var chosen = SettingChoices()
            conflict.choose(&chosen)
            for setting in Settings.all where chosen.has(setting) {
                var wanted = session.plan.settings
                chosen.apply(to: &wanted)
                #expect(
                    setting.json(of: session.plan.settings) == setting.json(of: wanted),
                    "\(setting.name)"
                )
            }
        }
    }

    /// A setting that a flag decides is not listed as suggested.
    @Test func whatAFlagReplacesIsNotListed() throws {
        try inModel("{\"guidance\": 2, \"steps\": 9}") { model in
            let one = try read(model) { $0.set(Settings.steps, to: 5) }
            #expect(one.suggestion == "guidance 2, by \(model)/tessera.json")
            let both = try read(model) {
                $0.set(Settings.steps, to: 5)
                $0.set(Settings.guidance, to: 5)
            }
            #expect(both.options.settings.has(Settings.guidance))
            #expect(both.suggestion == nil)
        }
    }

    /// A suggested sampler yields to settings that only other samplers support; the file's other suggestions stay.
    @Test func aSuggestedSamplerYields() throws {
        try inModel("{\"scheduler\": \"lcm\", \"guidance\": 2}") { model in
            // This sampler accepts any noise levels.
            let respaced = try read(model) { $0.set(Settings.karras, to: true) }
            #expect(respaced.plan.settings.scheduler == .lcm && respaced.plan.settings.karras)
            let session = try read(model) { $0.set(Settings.timestepSpacing, to: .trailing) }
            #expect(session.plan.settings.scheduler != .lcm)
            #expect(session.plan.settings.guidance == 2)
            #expect(session.suggestion?.contains("; not scheduler:") == true)
        }
    }

    /// If a file conflicts with itself, the error names the file and the key, not a flag that nobody gave.
    @Test(arguments: [
        ("{\"scheduler\": \"lcm\", \"timestep-spacing\": \"trailing\"}", "timestep-spacing"),
        ("{\"scheduler\": \"tcd\", \"karras\": true}", "karras"),
        ("{\"scheduler\": \"euler_a\", \"final-sigma\": \"zero\"}", "final-sigma"),
        ("{\"stride\": \"window\", \"window-weight\": \"gaussian\"}", "window-weight"),
        ("{\"stride\": \"window\", \"method\": \"refine\"}", "stride"),
    ])
    func aFileThatConflictsWithItselfIsNamed(json: String, key: String) throws {
        try inModel(json) { model in
            for isChosen in [false, true] {
                let error = #expect(throws: InputError.self) {
                    try read(model) { if isChosen { $0.set(Settings.guidance, to: 4) } }
                }
                #expect(error?.place == "\(model)/tessera.json, \(key)", "\(json) \(isChosen)")
            }
        }
    }

    /// A conflict without suggestions is blamed on the flags themselves.
    @Test func flagsThatConflictAreNamed() throws {
        try inModel("{\"guidance\": 3}") { model in
            let error = #expect(throws: InputError.self) {
                try read(model) { choices in
                    choices.set(Settings.scheduler, to: .tcd)
                    choices.set(Settings.karras, to: true)
                }
            }
            #expect(error?.place == "--karras")
        }
    }

    /// A job continues with the suggestions that it was started with.
    @Test func suggestionsAreReadOnce() throws {
        try inModel("{\"guidance\": 3, \"negative-prompt\": \"rain\"}") { model in
            let memory = SuggestionMemory()
            func guidance(_ memory: SuggestionMemory) throws -> Float {
                let session = try read(model, memory: memory)
                #expect(session.options.negativePrompt == "rain")
                return session.plan.settings.guidance
            }
            #expect(try guidance(memory) == 3)
            let file = "\(model)/tessera.json"
            try "{\"guidance\": 5, \"negative-prompt\": \"rain\"}".write(
                toFile: file,
                atomically: true,
                encoding: .utf8
            )
            #expect(try guidance(memory) == 3)
            #expect(try guidance(SuggestionMemory(memory.recorded)) == 3)
            #expect(try guidance(SuggestionMemory()) == 5)
            try FileManager.default.removeItem(atPath: file)
            #expect(try guidance(SuggestionMemory(memory.recorded)) == 3)
        }
    }

    /// A file that is added later does not count either.
    @Test func thatThereWasNoneIsRemembered() throws {
        try inModel(nil) { model in
            let memory = SuggestionMemory()
            #expect(try read(model, memory: memory).plan.settings.steps == 50)
            try "{\"steps\": 5}".write(
                toFile: "\(model)/tessera.json",
                atomically: true,
                encoding: .utf8
            )
            let later = try read(model, memory: SuggestionMemory(memory.recorded))
            #expect(later.plan.settings.steps == 50 && later.suggestion == nil)
        }
    }

    /// Following the advice about a first phase that is too small helps.
    @Test func adviceForSmallFirstPhasesFitsTheirShape() throws {
        try inModel(nil) { model in
            func notice(_ height: Int, _ width: Int) throws -> String? {
                try read(model) {
                    $0.set(Settings.size, to: Extent(height: height, width: width))
                }.notices.first { $0.contains("phase 1 lays") }
            }
            let native = try read(model).plan.model.nativeSide
            let least = native / 2
            let small = try #require(try notice(8, 8))
            #expect(small.contains("so few pixels") && !small.contains("2:1"), "\(small)")
            #expect(small.contains("Sides of at least \(least) pixels"), "\(small)")
            #expect(try notice(least, least) == nil)
            let long = try #require(try notice(native, 4 * native))
            #expect(long.contains("small height") && long.contains("at most 2:1"), "\(long)")
            #expect(try notice(native, 2 * native) == nil)
        }
    }
}
