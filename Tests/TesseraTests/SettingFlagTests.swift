import Engine
import Sampling
import Tessera
import Testing

/// Every setting has a flag that sets it, and help that says so.
@Suite struct SettingFlagTests {
    /// A value other than the default for every setting, as written on the command line.
    static let words: [String: [String]] = [
        "size": ["2048x1032"], "steps": ["7"], "guidance": ["3.25"], "seed": ["5"],
        "rng": ["philox"], "scheduler": ["euler_a"], "karras": [], "timestep-spacing": ["trailing"],
        "clip-skip": ["3"], "prompt-syntax": ["a1111"],
        "final-sigma": ["sigma_min"], "sgm-uniform": [], "sigmas": ["exponential"],
        "strength": ["0.3"], "fidelity": ["0.75"], "image-guidance": ["2.25"],
        "stride": ["window"], "decode-margin": ["2"], "guidance-interval": ["0.25,5"],
        "window-weight": ["uniform"], "cosine-scales": ["2,1.5,0"],
        "sigma": ["1.2"], "ladder": ["1,2.5"], "skip-below": ["0.125"], "border": ["zeros"],
        "method": ["refine"], "refine-from": ["0.5"], "refine-steps": ["4"],
        "refine-noise": ["0.75"], "refine-guidance": ["1.5"], "wire": ["f16"],
        "global-pass": ["workers"], "upscale-mode": ["image"],
    ]

    private func settings(_ words: [String]) throws -> RenderSettings {
        var settings = RenderSettings(
            size: Settings.size.defaultValue,
            scheduler: Settings.scheduler.defaultValue
        )
        let flags = try PictureFlags.parse(["--init-image", "x.png"] + words)
        try flags.options().settings.apply(to: &settings)
        return settings
    }

    @Test func everyFlagSetsItsSettingAndNoOther() throws {
        let standard = try settings([])
        for setting in Settings.all {
            let words = try #require(Self.words[setting.name], "\(setting.name)")
            let changed = try settings(["--\(setting.name)"] + words)
            for other in Settings.all {
                let isSame = other.json(of: changed) == other.json(of: standard)
                #expect(isSame == (other.name != setting.name), "\(setting.name), \(other.name)")
            }
            // JSON has the value as written on the command line.
            if let word = words.first {
                let told = JSON.object(["": setting.json(of: changed)]).text
                    .filter { !"[]{}\":".contains($0) }
                #expect(told == word, "\(setting.name)")
            }
        }
    }

    /// What `submit` sends means the same to a service as the flags did.
    @Test func choicesSurviveJSON() throws {
        let words = Self.words.sorted { $0.key < $1.key }.flatMap { ["--\($0.key)"] + $0.value }
        let flags = try PictureFlags.parse(["--init-image", "x.png"] + words)
        let choices = try flags.options().settings
        let again = try SettingChoices(json: choices.json)
        var (settings, read) = (try self.settings([]), try self.settings([]))
        choices.apply(to: &settings)
        again.apply(to: &read)
        for setting in Settings.all {
            #expect(again.has(setting), "\(setting.name)")
            #expect(setting.json(of: read) == setting.json(of: settings), "\(setting.name)")
        }
    }

    @Test func helpListsEverySetting() throws {
        for command in ["render", "plan", "coordinator"] {
            let help = try Command([command, "--help"]).output
            let text = help.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            for setting in Settings.all {
                let isThere = ["--\(setting.name) ", "--\(setting.name)/--no-\(setting.name) "]
                    .contains { text.contains($0) }
                #expect(isThere, "\(command) \(setting.name)")
                let told = setting.fullHelp.split(separator: " ").joined(separator: " ")
                #expect(text.contains(told), "\(command) \(setting.name)")
            }
        }
    }
}
