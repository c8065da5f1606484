import ArgumentParser
import Engine
import Protocol
import Service

/// Flags that select the service.
struct ServerFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Address of tessera serve.", valueName: "url"))
    var server = ServiceAddress.standard

    @Option(
        help: ArgumentHelp(
            "Token for the service. Others on this machine can see flags: TESSERA_TOKEN or the configuration file is "
                + "the better place.",
            valueName: "token"
        )
    )
    var token: String?

    @Option(
        help: ArgumentHelp(
            "For whom the service is asked: with a token of the scope admin, or where no token is needed.",
            valueName: "name"
        )
    )
    var asUser: String?

    @Option(
        help: ArgumentHelp(
            "Certificates that the service's may be signed with. (default: the system's)",
            valueName: "pem"
        ),
        completion: .file(extensions: ["pem", "crt"])
    )
    var serverCa: String?

    /// - Throws: `InputError` naming the flag with an invalid value
    func client() throws(InputError) -> ServiceClient {
        let address = try ServiceAddress(server, flag: "--server")
        // Any other character could start a new line in the HTTP header.
        if let token, !token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) || token.isEmpty {
            throw InputError(
                "--token",
                "it is not a token",
                fix: "Give what tessera tokens new printed"
            )
        }
        if let asUser, !Caller.isName(asUser) {
            throw InputError(
                "--as-user \(asUser)",
                "it is not a user's name",
                fix: "Use 1 to 64 letters, digits or any of -._"
            )
        }
        try address.check(hasToken: token != nil, flag: "--server")
        return try ServiceClient(address, token: token, user: asUser, authority: serverCa)
    }
}

/// The id of a job of a service.
struct JobName {
    let id: String

    private static let length = 20

    /// - Throws: `ValidationError` if the text cannot be a job id
    init(_ text: String) throws {
        guard text.utf8.count == Self.length,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) })
        else {
            throw ValidationError(
                "a job's id has \(Self.length) letters and digits; "
                    + "tessera jobs lists them"
            )
        }
        id = text
    }

    /// Path of the job, relative to the service's address.
    var path: String { "/api/v1/jobs/\(id)" }
}
