import ArgumentParser
import Engine
import Foundation
import Service

/// `tessera tokens`: who may use the service.
struct Tokens: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Creates, lists and revokes tokens for tessera serve.",
        discussion: """
            As soon as there is a token, every request needs one. Changes take effect at once, also while the service \
            runs. Only a digest of each token is stored.
            """,
        subcommands: [New.self, List.self, Revoke.self]
    )

    /// `tessera tokens new`
    struct New: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates a token and prints it, once."
        )

        @OptionGroup var place: ServiceData

        @Option(
            help: ArgumentHelp("Whose jobs it submits: letters, digits, -._", valueName: "name")
        )
        var user: String

        @Option(
            help: ArgumentHelp(
                "What it allows: read, submit, admin (everybody's jobs, and priorities above 0).",
                valueName: "scope,…"
            )
        )
        var scopes = "read,submit"

        @Option(help: ArgumentHelp("What it is for.", valueName: "text"))
        var note = ""

        @Option(
            help: ArgumentHelp("Days after which it ends. (default: never)", valueName: "n")
        )
        var days: Double?

        @OptionGroup(title: "Limits in place of the service's") var quota: QuotaFlags

        func run() throws {
            try ExitStatus.reporting {
                guard Caller.isName(user) else {
                    throw InputError(
                        "--user \(user)",
                        "it is not a user's name",
                        fix: "Use 1 to 64 letters, digits or any of -._"
                    )
                }
                if let days, !(days > 0 && days < 1e6) {
                    throw InputError(
                        "--days \(days)",
                        "it is out of range",
                        fix: "Choose more than 0 and less than 1000000"
                    )
                }
                let scopes = try TokenScope.set(scopes, flag: "--scopes")
                let now = Date().timeIntervalSince1970
                let (text, _) = try place.store(creating: true).createToken(
                    user: user,
                    scopes: scopes,
                    note: oneLine(note, limit: 200),
                    expires: days.map { now + $0 * 86_400 },
                    quota: quota.quota,
                    now: now
                )
                try StandardOutput.write(text)
            }
        }
    }

    /// `tessera tokens list`
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the tokens' ids, users, scopes, ends, limits and notes."
        )

        @OptionGroup var place: ServiceData

        func run() throws {
            try ExitStatus.reporting {
                let tokens = try place.store().tokens()
                try StandardOutput.write(
                    lines: tokens.map { token in
                        let end = token.expires.map {
                            "until \(Date(timeIntervalSince1970: $0).formatted(.iso8601))"
                        }
                        let words = [
                            token.id, token.user, token.scopes, end ?? "no end",
                            token.quota.map { $0.words.joined(separator: ", ") } ?? "", token.note,
                        ]
                        return words.joined(separator: "\t")
                    }
                )
            }
        }
    }

    /// `tessera tokens revoke`
    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revokes a token at once.")

        @OptionGroup var place: ServiceData

        @Argument(help: "Its id, as list prints it.")
        var id: String

        func run() throws {
            try ExitStatus.reporting {
                guard try place.store().revokeToken(id) else {
                    throw InputError(
                        id,
                        "there is no such token",
                        fix: "tessera tokens list prints them"
                    )
                }
            }
        }
    }
}

/// Limits for the owner of a token that differ from the service's defaults.
struct QuotaFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Largest picture, in pixels.", valueName: "n"))
    var maxPixels: Int?

    @Option(help: ArgumentHelp("Most sampling steps of a phase.", valueName: "n"))
    var maxSteps: Int?

    @Option(help: ArgumentHelp("Most UNet calls of a picture.", valueName: "n"))
    var maxEvaluations: Int?

    @Option(help: ArgumentHelp("Most unfinished jobs of the user.", valueName: "n"))
    var maxJobs: Int?

    @Option(
        help: ArgumentHelp("Most pixels of the user's unfinished jobs together.", valueName: "n")
    )
    var maxQueuedPixels: Int?

    @Option(
        help: ArgumentHelp(
            "Bytes of the user's finished pictures from which on new jobs are refused.",
            valueName: "n"
        )
    )
    var maxStoredBytes: Int?

    mutating func validate() throws {
        for (flag, value) in [
            ("--max-pixels", maxPixels), ("--max-steps", maxSteps),
            ("--max-evaluations", maxEvaluations), ("--max-jobs", maxJobs),
            ("--max-queued-pixels", maxQueuedPixels), ("--max-stored-bytes", maxStoredBytes),
        ] {
            guard value.map({ $0 >= 1 }) ?? true else {
                throw ValidationError("\(flag) must be at least 1.")
            }
        }
    }

    var quota: UserQuota {
        var quota = UserQuota()
        (quota.pixels, quota.steps, quota.evaluations) = (maxPixels, maxSteps, maxEvaluations)
        (quota.jobs, quota.queuedPixels, quota.storedBytes) =
            (maxJobs, maxQueuedPixels, maxStoredBytes)
        return quota
    }
}

/// The service's data folder.
struct ServiceData: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the service. (default: ~/.local/state/tessera/service)",
            valueName: "dir"
        ),
        completion: .directory
    )
    var data: String?

    /// - Throws: `InputError` if no folder is given and there is no default
    static func folder(_ given: String?) throws(InputError) -> String {
        guard let path = given ?? UserFolder.state.named("service") else {
            throw InputError("--data", "$HOME is not set", fix: "Name a folder")
        }
        return path
    }

    /// The service's database, which a running service may use at the same time.
    ///
    /// - Parameter creating: whether to create the folder if it is missing
    /// - Returns: the store
    /// - Throws: `InputError` if the folder is missing, `OutputError` if it cannot be created
    func store(creating: Bool = false) throws -> JobStore {
        let folder = try Self.folder(data)
        if creating { try ServiceFolder.create(folder) }
        guard FileKind(folder) == .folder else {
            throw InputError(
                "--data \(folder)",
                "there is no such folder",
                fix: "Name the folder that tessera serve uses"
            )
        }
        return try JobStore(path: "\(folder)/\(ServiceFolder.databaseName)")
    }
}
