import Coordinator
import Engine
import Fleet
import Foundation
import Sampling
import TestSupport
import Testing

/// Files that were made to do harm, or were damaged on disk.
@Suite struct HostileFileTests {
    private func fault(_ yaml: String) throws -> String {
        let error = #expect(throws: InputError.self) {
            try ClusterFile(yaml: yaml, place: "x.yaml")
        }
        return "\(try #require(error))"
    }

    /// Lists of aliases to lists of aliases, nine times as many values at each of eleven levels. Comparing keys that
    /// contain them used to take longer than anyone would wait.
    private static let bomb =
        "a0: &a0 [x]\n"
        + (1...11).map { level in
            let inner = [String](repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            return "a\(level): &a\(level) [\(inner)]\n"
        }.joined()

    @Test(
        .timeLimit(.minutes(1)),
        arguments: ["? *a11\n: 1\n", "? [*a11]\n: 1\n", "b: {[*a11]: 1}\n"]
    )
    func keysAreTextOnly(end: String) throws {
        let found = try fault(Self.bomb + end)
        #expect(found.hasPrefix("x.yaml:13: a field's name must be text."), "\(found)")
    }

    /// Values may be aliases, to any depth.
    @Test(.timeLimit(.minutes(5))) func aliasesAreValues() throws {
        let found = try fault(Self.bomb + "hosts:\n  - name: localhost\n")
        #expect(found.contains("there is no field 'a0'"), "\(found)")
        let file = try ClusterFile(
            yaml: """
                environment: &shared {A: "1"}
                hosts:
                  - name: localhost
                    environment: *shared
                """,
            place: "x.yaml"
        )
        #expect(file.hosts[0].environment == ["A": "1"])
    }

    @Test func anErrorIsOneShortLine() throws {
        for yaml in ["hosts: [\u{1B}]0;title\u{7}]\n", String(repeating: "{a: ", count: 60_000)] {
            let found = try fault(yaml)
            #expect(found.count < 1500)
            #expect(found.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
        }
    }

    /// A clock or a disk that reports impossible values.
    @Test(arguments: [1e300, .infinity, .nan, -1e300, 1e18])
    func impossibleTimesAreShownAsSuch(seconds: Double) {
        var row = ClusterTable.Row(host: "alpha", state: "up", workers: "2/2")
        row.lastSeen = seconds
        let line = ClusterTable(rows: [row]).lines[1]
        #expect(line.hasSuffix(seconds > 0 ? "long ago" : "0.0 s ago"), "\(line)")
    }

    /// Recorded noise with values that cannot have been drawn: the file is at fault, not a worker.
    @Test(arguments: [Float.nan, .infinity, -3e38, 1e4])
    func recordedNoiseIsNoise(value: Float) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/in.safetensors"
            var values = (0..<64).map { Float($0 % 5) - 2 }
            let latent = Extent(height: 4, width: 4)
            func base() throws -> Tensor {
                try SafeTensors.write(
                    [("base_noise", Tensor(values, shape: [1, 4, 4, 4]))],
                    to: file
                )
                let seeded = SeededNoise(seed: 1, kind: .torch)
                return try RecordedNoise(file: file, seeded: seeded).base(
                    latent: latent,
                    channels: 4
                )
            }
            let sound = try base()
            #expect(sound.shape == [1, 4, 4, 4])
            values[37] = value
            let error = #expect(throws: InputError.self) { try base() }
            #expect(error?.place == "\(file): base_noise")
            #expect(error?.problem.hasPrefix("element 37 is ") == true)
        }
    }
}
