import ArgumentParser
import Protocol

/// `tessera keys`: keys for clusters on a network.
struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Creates and shows the keys with which coordinators and workers authenticate.",
        subcommands: [New.self, Show.self]
    )

    /// `tessera keys new`
    struct New: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates a key pair: FILE is secret, FILE.pub is for the other side."
        )

        @Argument(
            help: "Where to write it; existing files are not overwritten.",
            completion: .file()
        )
        var file: String

        func run() throws {
            try ExitStatus.reporting { try StandardOutput.write("\(KeyFile.create(file))") }
        }
    }

    /// `tessera keys show`
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the public half of a secret key."
        )

        @Argument(help: "The secret key's file.", completion: .file())
        var file: String

        func run() throws {
            try ExitStatus.reporting {
                try StandardOutput.write("\(KeyFile.pair(file).publicKey)")
            }
        }
    }
}
